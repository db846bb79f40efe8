package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
)

// maxSessionsName is the maximum length of the result of sessionsName: 40, which ElastiCache allows, without the "-default" and the
// "-last" that some names have in addition.
const maxSessionsName = 32

// sessionsName returns a physical name for a resource that holds sessions, or for its users: the name of the stack and of the
// resource, and a hash of the content, if there is any. The stack's name makes it unique in an account and region.
//
// CloudFormation refuses to replace a resource whose name doesn't change. It says so before it changes anything else, because
// the servers depend on the store. Without a name it would create a new, empty cache and delete the old one with all
// sessions. The content is whatever a resource can't keep through a change, such as the subnets of a serverless cache: a
// change of it gives another name, so the cache is replaced on purpose (docs/configuration.md has the list).
func sessionsName(scope constructs.Construct, id string, content ...any) string {
	name := strings.ToLower(*awscdk.Stack_Of(scope).StackName() + "-" + id)
	if len(content) > 0 {
		name += "-" + contentHash(scope, content...)
	}
	if len(name) > maxSessionsName {
		name = strings.TrimRight(name[:maxSessionsName-7], "-") + "-" + contentHash(scope, name)
	}
	return name
}

// contentHash returns six hexadecimal digits of the SHA-256 of the values, in which CDK tokens may occur.
func contentHash(scope constructs.Construct, values ...any) string {
	text, err := json.Marshal(awscdk.Stack_Of(scope).Resolve(values))
	if err != nil {
		panic(err) // the values are strings, numbers and lists of them
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:3])
}
