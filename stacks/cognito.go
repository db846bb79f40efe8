package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscognito"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// CognitoLoginProps are the inputs of NewCognitoLogin.
type CognitoLoginProps struct {
	// Store is where sessions live.
	Store SessionStore
	// URL is where visitors come: https:// and a name, which may be a CDK token.
	URL   string
	Stage Stage
}

// CognitoLogin is a SessionStore whose visitors log in at a user pool of Amazon Cognito. Servers need what the store
// needs, and the pool.
type CognitoLogin struct {
	SessionStore
	UserPoolID, Issuer string // tokens

	url    string
	client awscognito.UserPoolClient
	domain awscognito.UserPoolDomain
	keys   *SealingKeys // that seal logins under way; nil where the store's do
}

var _ SessionStore = CognitoLogin{}

// NewCognitoLogin defines the user pool, its pages and the servers' client.
func NewCognitoLogin(scope constructs.Construct, id string, props *CognitoLoginProps) CognitoLogin {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	pool := newUserPool(scope, props.Stage)
	login := CognitoLogin{SessionStore: props.Store, UserPoolID: *pool.UserPoolId(), Issuer: *pool.UserPoolProviderUrl(),
		url: props.URL, client: addClient(pool, props.URL), domain: addDomain(pool)}
	if _, has := props.Store.(KeyStore); !has {
		keys := NewSealingKeys(scope, "Keys", props.Stage)
		login.keys = &keys
	}
	return login
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

// Configure implements SessionStore.
func (l CognitoLogin) Configure(server *Environment) {
	l.SessionStore.Configure(server)
	if l.keys != nil {
		l.keys.Configure(server)
	}
	server.OIDCIssuer = l.Issuer
	server.OIDCClientID = *l.client.UserPoolClientId()
	server.OIDCRedirectURL = l.url + config.LoginCallback
}

// Admit implements SessionStore. Servers wait for the domain too: without one, the pool doesn't tell where tokens are.
func (l CognitoLogin) Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable {
	needed := constructs.NewDependencyGroup(l.SessionStore.Admit(role, servers), l.domain)
	if l.keys != nil {
		needed.Add(l.keys.Admit(role, servers))
	}
	return needed
}

// Graphs implements SessionStore.
func (l CognitoLogin) Graphs() []awscloudwatch.IWidget {
	graphs := l.SessionStore.Graphs()
	if l.keys != nil {
		graphs = append(graphs, l.keys.Graphs()...)
	}
	return graphs
}

// Alarms implements SessionStore.
func (l CognitoLogin) Alarms() []Alarm {
	alarms := l.SessionStore.Alarms()
	if l.keys != nil {
		alarms = append(alarms, l.keys.Alarms()...)
	}
	return alarms
}
