package deploy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// An account reads the resources of an AWS account with the SDK. It calls EC2 and the APIs that only inventory uses without
// the SDK's clients, because EC2's client alone takes two minutes to compile.
type account struct {
	config         aws.Config
	autoscaling    *autoscaling.Client
	cloudformation *cloudformation.Client
	dynamodb       *dynamodb.Client
	elasticache    *elasticache.Client
	elb            *elb.Client
	rds            *rds.Client
	s3             *s3.Client
	secrets        *secretsmanager.Client

	stacks string // the prefix of the names of the stacks, such as "production-"; empty for the default
}

// stackName returns the name of the stack Network or Lab.
func (a account) stackName(name string) string { return cmp.Or(a.stacks, "Stateless") + name }

func newAccount(config aws.Config) account {
	return account{
		config:         config,
		autoscaling:    autoscaling.NewFromConfig(config),
		cloudformation: cloudformation.NewFromConfig(config),
		dynamodb:       dynamodb.NewFromConfig(config),
		elasticache:    elasticache.NewFromConfig(config),
		elb:            elb.NewFromConfig(config),
		rds:            rds.NewFromConfig(config),
		s3:             s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }),
		secrets:        secretsmanager.NewFromConfig(config),
	}
}

// An element is an element of an XML response.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// all returns the elements of a name, at any depth.
func (e element) all(name string) []element {
	var found []element
	if e.XMLName.Local == name {
		found = append(found, e)
	}
	for _, child := range e.Children {
		found = append(found, child.all(name)...)
	}
	return found
}

// text returns the first text at a path of names, or "".
func (e element) text(path ...string) string {
	if len(path) == 0 {
		return strings.TrimSpace(e.Text)
	}
	for _, child := range e.Children {
		if child.XMLName.Local == path[0] {
			return child.text(path[1:]...)
		}
	}
	return ""
}

// ec2 calls EC2's API; parameters are names and values in turn.
func (a account) ec2(ctx context.Context, action string, parameters ...string) (element, error) {
	return a.query(ctx, "ec2", "2016-11-15", action, parameters...)
}

// query calls an API of the Query protocol (EC2, IAM, CloudWatch …).
func (a account) query(ctx context.Context, service, version, action string, parameters ...string) (element, error) {
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i+1 < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	body, err := a.call(ctx, service, http.MethodPost, "/", header, form.Encode())
	if err != nil {
		return element{}, fmt.Errorf("%s: %w", action, err)
	}
	var response element
	if err := xml.Unmarshal(body, &response); err != nil {
		return element{}, fmt.Errorf("%s: %w", action, err)
	}
	return response, nil
}

// call sends one signed request to the endpoint.
func (a account) call(ctx context.Context, service, method, path string, header http.Header, body string) (
	[]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, aws.ToString(a.config.BaseEndpoint)+path,
		strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	credentials, err := a.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(body))
	err = signer.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), service, a.config.Region,
		time.Now())
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(text))
	}
	return text, err
}
