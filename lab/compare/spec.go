package compare

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// A spec says which properties of a resource CloudFormation can't change without replacing it, by type and property: "yes"
// or "maybe". Other properties aren't in it.
type spec map[string]map[string]string

// readSpec reads the AWS service specification that comes with the CDK's command line, which cdk diff goes by too.
func readSpec(root string) (spec, error) {
	path := filepath.Join(root, "node_modules", "aws-cdk", "db.json.gz")
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; npm ci installs it", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var database struct {
		Schema struct {
			Resource struct {
				Entities []struct {
					CloudFormationType string
					Properties         map[string]struct{ CausesReplacement string }
				}
			}
		}
	}
	if err := json.NewDecoder(unzipped).Decode(&database); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	s := spec{}
	for _, entity := range database.Schema.Resource.Entities {
		replacing := map[string]string{}
		for name, property := range entity.Properties {
			if property.CausesReplacement != "" && property.CausesReplacement != "no" {
				replacing[name] = property.CausesReplacement
			}
		}
		s[entity.CloudFormationType] = replacing
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("%s has no types of resources: the pinned aws-cdk in package.json has", path)
	}
	return s, nil
}
