package dynamodb_test

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
)

func Example() {
	config := aws.Config{Region: "eu-west-1", Credentials: aws.NewCredentialsCache(ec2rolecreds.New())}
	store := dynamodb.New(dynamodb.NewClient(config, ""), dynamodb.Options{Table: "sessions"})

	manager, err := session.New(store, session.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(manager.Promises().Name, manager.Promises().ReadYourWrites)
	// Output: dynamodb true
}
