package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscognito"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// CognitoLoginProps are the inputs of NewCognitoLogin.
type CognitoLoginProps struct {
	// URL is the address of the application: https:// and a host name, which may be a CDK token.
	URL   string
	Stage Stage
	// Protect turns on deletion protection of the user pool.
	Protect bool
	// Keys defines the keys that encrypt the state of a login in progress. It must be false if the session store has keys.
	Keys bool
}

// NewCognitoLogin defines an Amazon Cognito user pool for the logins of visitors, with its login pages and the OAuth client
// of the servers.
func NewCognitoLogin(scope constructs.Construct, id string, props *CognitoLoginProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	pool := newUserPool(scope, props.Stage, props.Protect)
	client, domain := addClient(pool, props.URL), addDomain(pool)
	var keys Attachment
	if props.Keys {
		keys = NewSealingKeys(scope, "Keys", props.Stage)
	}
	stack := awscdk.Stack_Of(scope)
	output(stack, "UserPool", "The user pool; add users with: aws cognito-idp admin-create-user --user-pool-id",
		*pool.UserPoolId())
	output(stack, "Issuer", "The OpenID Connect issuer that the servers trust", *pool.UserPoolProviderUrl())
	return func(servers *Servers) {
		servers.Environment.OIDCIssuer = *pool.UserPoolProviderUrl()
		servers.Environment.OIDCClientID = *client.UserPoolClientId()
		servers.Environment.OIDCRedirectURL = props.URL + config.LoginCallback
		servers.Dependencies = append(servers.Dependencies, domain) // the pool's discovery document names its token endpoint only then
		if keys != nil {
			keys(servers)
		}
	}
}

// newUserPool defines a pool whose users an operator creates. Visitors can't sign up: the lab's address is public, and each
// sign-up would cost an e-mail and, above the free quota, a monthly fee. The user name is an e-mail address.
//
// The feature plan is Lite, the cheapest. Its pages support passwords and codes of authenticator apps (TOTP). In production
// every user needs a code, and sets up the app at the first login. In a lab the code is optional, and Cognito's pages don't
// offer to set it up.
func newUserPool(scope constructs.Construct, stage Stage, protect bool) awscognito.UserPool {
	factor := awscognito.Mfa_OPTIONAL
	if stage == StageProduction {
		factor = awscognito.Mfa_REQUIRED
	}
	pool := awscognito.NewUserPool(scope, jsii.String("Users"), &awscognito.UserPoolProps{
		FeaturePlan:         awscognito.FeaturePlan_LITE,
		SelfSignUpEnabled:   jsii.Bool(false),
		SignInAliases:       &awscognito.SignInAliases{Email: jsii.Bool(true)},
		SignInCaseSensitive: jsii.Bool(false),
		AccountRecovery:     awscognito.AccountRecovery_EMAIL_ONLY,
		Mfa:                 factor,
		MfaSecondFactor:     &awscognito.MfaSecondFactor{Otp: jsii.Bool(true), Sms: jsii.Bool(false)},
		PasswordPolicy: &awscognito.PasswordPolicy{
			MinLength: jsii.Number(12), RequireLowercase: jsii.Bool(true), RequireUppercase: jsii.Bool(true),
			RequireDigits: jsii.Bool(true), RequireSymbols: jsii.Bool(true),
			TempPasswordValidity: awscdk.Duration_Days(jsii.Number(3)),
		},
		DeletionProtection: jsii.Bool(protect),
		RemovalPolicy:      removalPolicy(stage),
	})
	if stage != StageProduction {
		suppress(pool, "AwsSolutions-COG2", "In a lab an account protects only the sample's shopping cart. Production "+
			"requires a second factor.")
	}
	suppress(pool, "AwsSolutions-COG3", "Threat protection needs the feature plan Plus: 0.02 USD per user per month, with no "+
		"free quota. Without it, Cognito still locks an account after failed attempts.")
	return pool
}

// addClient registers the servers as an OAuth client, with the exact redirect URLs. It is a public client, without a
// secret: an authorization code works only with its verifier (PKCE), which the visitor's cookie holds encrypted under keys
// that only the servers have. A client secret would add little, and would have to be fetched, stored and rotated. Servers
// verify the tokens once, at the end of a login, and don't keep them.
func addClient(pool awscognito.UserPool, url string) awscognito.UserPoolClient {
	return pool.AddClient(jsii.String("Servers"), &awscognito.UserPoolClientOptions{
		GenerateSecret: jsii.Bool(false),
		OAuth: &awscognito.OAuthSettings{
			Flows: &awscognito.OAuthFlows{AuthorizationCodeGrant: jsii.Bool(true)},
			Scopes: &[]awscognito.OAuthScope{
				awscognito.OAuthScope_OPENID(), awscognito.OAuthScope_PROFILE(), awscognito.OAuthScope_EMAIL(),
			},
			CallbackUrls: jsii.Strings(url + config.LoginCallback),
			LogoutUrls:   jsii.Strings(url + "/"),
		},
		SupportedIdentityProviders: &[]awscognito.UserPoolClientIdentityProvider{
			awscognito.UserPoolClientIdentityProvider_COGNITO(),
		},
		AuthFlows:                  &awscognito.AuthFlow{UserSrp: jsii.Bool(true)}, // SRP proves a password without sending it
		PreventUserExistenceErrors: jsii.Bool(true),
		IdTokenValidity:            duration(5 * time.Minute), // this and the next two are Cognito's minimums
		AccessTokenValidity:        duration(5 * time.Minute),
		RefreshTokenValidity:       duration(time.Hour),
	})
}

// addDomain defines the host name of the pool's pages and endpoints. The name must be unique in the region and stay the
// same, so it contains the id of the stack. Unlike the account number, that id reveals nothing.
func addDomain(pool awscognito.UserPool) awscognito.UserPoolDomain {
	// arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
	id := awscdk.Fn_Select(jsii.Number(2), awscdk.Fn_Split(jsii.String("/"), awscdk.Stack_Of(pool).StackId(), nil))
	return pool.AddDomain(jsii.String("Domain"), &awscognito.UserPoolDomainOptions{
		CognitoDomain: &awscognito.CognitoDomainOptions{DomainPrefix: jsii.String("stateless-" + *id)},
	})
}
