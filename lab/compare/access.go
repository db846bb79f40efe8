package compare

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
)

// permissions are the IAM statements of the templates, as text: who may, or is trusted to, do what.
func permissions(templates []cost.Template) []string {
	var list []string
	for id, r := range each(templates) {
		p := properties(r)
		switch word(r["Type"]) {
		case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy":
			for _, who := range parts(p["Roles"]) {
				list = append(list, statements(p["PolicyDocument"], render(who), "")...)
			}
		case "AWS::IAM::Role":
			list = append(list, statements(p["AssumeRolePolicyDocument"], "", "${"+id+"}")...)
			for _, policy := range parts(p["Policies"]) {
				document, _ := policy.(object)
				list = append(list, statements(document["PolicyDocument"], "${"+id+"}", "")...)
			}
			for _, managed := range parts(p["ManagedPolicyArns"]) {
				list = append(list, fmt.Sprintf("${%s} has the policy %s", id, render(managed)))
			}
		case "AWS::S3::BucketPolicy":
			list = append(list, statements(p["PolicyDocument"], "", render(p["Bucket"]))...)
		case "AWS::SNS::TopicPolicy":
			list = append(list, statements(p["PolicyDocument"], "", render(p["Topics"]))...)
		case "AWS::KMS::Key":
			list = append(list, statements(p["KeyPolicy"], "", "${"+id+"}")...)
		case "AWS::Lambda::Permission":
			list = append(list, fmt.Sprintf("Allow %s: %s on %s", render(p["Principal"]), render(p["Action"]), render(p["FunctionName"])))
		}
	}
	return list
}

// statements are those of a policy. Who is the principal, and on the resource, where the statement doesn't say it.
func statements(document any, who, on string) []string {
	policy, _ := document.(object)
	var list []string
	for _, part := range parts(policy["Statement"]) {
		s, _ := part.(object)
		principal, resource := who, on
		if given := s["Principal"]; given != nil {
			principal = render(given)
		}
		if given := s["Resource"]; given != nil {
			resource = render(given)
		}
		line := fmt.Sprintf("%s %s: %s on %s", word(s["Effect"]), principal, renderList(s["Action"]), resource)
		if condition := s["Condition"]; condition != nil {
			line += " if " + render(condition)
		}
		list = append(list, line)
	}
	return list
}

// rules are those of the security groups of the templates, as text.
func rules(templates []cost.Template) []string {
	var list []string
	add := func(group, direction string, rule object) {
		peer := ""
		for _, name := range []string{"CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId",
			"SourcePrefixListId", "DestinationPrefixListId"} {
			if value := rule[name]; value != nil {
				peer = render(value)
			}
		}
		ports := render(rule["FromPort"])
		if to := render(rule["ToPort"]); to != ports {
			ports += "-" + to
		}
		text := fmt.Sprintf("%s %s %s: %s %s", group, direction, peer, render(rule["IpProtocol"]), ports)
		list = append(list, strings.TrimSpace(text))
	}
	for id, r := range each(templates) {
		p := properties(r)
		switch word(r["Type"]) {
		case "AWS::EC2::SecurityGroup":
			for _, part := range parts(p["SecurityGroupIngress"]) {
				rule, _ := part.(object)
				add("${"+id+"}", "from", rule)
			}
			for _, part := range parts(p["SecurityGroupEgress"]) {
				rule, _ := part.(object)
				add("${"+id+"}", "to", rule)
			}
		case "AWS::EC2::SecurityGroupIngress":
			add(render(p["GroupId"]), "from", p)
		case "AWS::EC2::SecurityGroupEgress":
			add(render(p["GroupId"]), "to", p)
		}
	}
	return list
}

// each goes through the resources of the templates in the order of their ids.
func each(templates []cost.Template) iter.Seq2[string, object] {
	return func(yield func(string, object) bool) {
		for _, t := range templates {
			found := resources(t.Whole)
			for _, id := range slices.Sorted(maps.Keys(found)) {
				if !yield(id, found[id]) {
					return
				}
			}
		}
	}
}

// parts is the list that a value is; one that is no list is its only part.
func parts(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	}
	return []any{value}
}

func renderList(value any) string {
	var words []string
	for _, part := range parts(value) {
		words = append(words, render(part))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// render writes a value as a person would: ${Table.Arn}/index/owner.
func render(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case []any:
		return renderList(value)
	case object:
		if len(value) != 1 {
			break
		}
		for function, of := range value {
			switch list := parts(of); function {
			case "Ref":
				return "${" + word(of) + "}"
			case "Fn::GetAtt":
				return "${" + joined(list, ".") + "}"
			case "Fn::Join":
				if len(list) == 2 {
					return joined(parts(list[1]), word(list[0]))
				}
			case "Service", "AWS", "Federated":
				return renderList(of)
			}
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

func joined(list []any, by string) string {
	words := make([]string, len(list))
	for i, part := range list {
		words[i] = render(part)
	}
	return strings.Join(words, by)
}
