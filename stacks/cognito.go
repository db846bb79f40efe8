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
	// URL is where visitors come: https:// and a name, which may be a CDK token.
	URL   string
	Stage Stage
	// Keys are made to seal logins under way, unless the session store brings some along.
	Keys bool
}

// NewCognitoLogin defines a user pool of Amazon Cognito at which visitors log in, its pages and the servers' client.
func NewCognitoLogin(scope constructs.Construct, id string, props *CognitoLoginProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	pool := newUserPool(scope, props.Stage)
	client, domain := addClient(pool, props.URL), addDomain(pool)
	var keys Attachment
	if props.Keys {
		keys = NewSealingKeys(scope, "Keys", props.Stage)
	}
	stack := awscdk.Stack_Of(scope)
	output(stack, "UserPool", "Where users are made: aws cognito-idp admin-create-user --user-pool-id", *pool.UserPoolId())
	output(stack, "Issuer", "Who tells servers who visitors are", *pool.UserPoolProviderUrl())
	return func(servers *Servers) {
		servers.Environment.OIDCIssuer = *pool.UserPoolProviderUrl()
		servers.Environment.OIDCClientID = *client.UserPoolClientId()
		servers.Environment.OIDCRedirectURL = props.URL + config.LoginCallback
		servers.Needs = append(servers.Needs, domain) // without one, the pool doesn't tell where tokens are
		if keys != nil {
			keys(servers)
		}
	}
}

// newUserPool defines a pool whose users an operator makes. Nobody signs up by themselves: the lab's address is public,
// and each stranger would be an e-mail and, beyond the free ones, a user on the bill. An e-mail address is the user name.
//
// The feature plan is Lite, whose pages ask for passwords and codes of authenticator apps: nothing of the dearer plans is
// used. In production everyone needs such a code, and sets the app up at the first login. In a lab it is optional, and
// Cognito's pages ask nobody to set one up.
func newUserPool(scope constructs.Construct, stage Stage) awscognito.UserPool {
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
		DeletionProtection: jsii.Bool(stage == StageProduction),
		RemovalPolicy:      removalPolicy(stage),
	})
	if stage != StageProduction {
		accept(pool, "AwsSolutions-COG2", "A lab's accounts guard nothing but a shopping cart of the sample. Production "+
			"requires a second factor.")
	}
	accept(pool, "AwsSolutions-COG3", "Threat protection is of the feature plan Plus alone: 0.02 USD for each user and "+
		"month, none free. Cognito locks guessers out for a while without it.")
	return pool
}

// addClient registers the servers, with the exact addresses that visitors come back to. It is a public client: a code is
// good with its verifier alone (PKCE), which the visitor brings along sealed under keys that only servers have. A secret
// would say once more that they are servers, and would be another thing to fetch, to keep and to rotate. Servers look at
// tokens once, when a login is finished, and keep none.
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
		AuthFlows:                  &awscognito.AuthFlow{UserSrp: jsii.Bool(true)}, // passwords are proven, not sent
		PreventUserExistenceErrors: jsii.Bool(true),
		IdTokenValidity:            duration(5 * time.Minute), // this and the next two are the least that Cognito takes
		AccessTokenValidity:        duration(5 * time.Minute),
		RefreshTokenValidity:       duration(time.Hour),
	})
}

// addDomain gives the pool's pages and endpoints a name. It must be nobody else's in the region, and stay: the id of the
// stack is in it, which AWS never gives twice, and which, unlike the account's number, tells nothing.
func addDomain(pool awscognito.UserPool) awscognito.UserPoolDomain {
	// arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
	id := awscdk.Fn_Select(jsii.Number(2), awscdk.Fn_Split(jsii.String("/"), awscdk.Stack_Of(pool).StackId(), nil))
	return pool.AddDomain(jsii.String("Domain"), &awscognito.UserPoolDomainOptions{
		CognitoDomain: &awscognito.CognitoDomainOptions{DomainPrefix: jsii.String("stateless-" + *id)},
	})
}
