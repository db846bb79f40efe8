package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// A serverlessCache is a cache of ElastiCache Serverless. It spans all zones, and is always encrypted at rest and in transit.
type serverlessCache struct {
	awselasticache.CfnServerlessCache
	name string
}

// newServerlessCache defines a cache within the limits of the Config.
func newServerlessCache(scope constructs.Construct, name, engine, majorVersion string, network storeNetwork,
	c CacheConfig) serverlessCache {
	return serverlessCache{name: name, CfnServerlessCache: awselasticache.NewCfnServerlessCache(scope, jsii.String("Cache"),
		&awselasticache.CfnServerlessCacheProps{
			ServerlessCacheName: jsii.String(name),
			Description:         jsii.String("Sessions of stateless servers"),
			Engine:              jsii.String(engine),
			MajorEngineVersion:  jsii.String(majorVersion),
			SubnetIds:           network.subnets(),
			SecurityGroupIds:    &[]any{network.securityGroup.SecurityGroupId()},
			CacheUsageLimits: &awselasticache.CfnServerlessCache_CacheUsageLimitsProperty{
				DataStorage: &awselasticache.CfnServerlessCache_DataStorageProperty{
					Maximum: jsii.Number(c.MaxGB), Unit: jsii.String("GB"),
				},
				EcpuPerSecond: &awselasticache.CfnServerlessCache_ECPUPerSecondProperty{
					Maximum: jsii.Number(c.MaxECPU),
				},
			},
		})}
}

func (c serverlessCache) address() string {
	return fmt.Sprintf("%s:%s", *c.AttrEndpointAddress(), *c.AttrEndpointPort())
}

func (c serverlessCache) metric(name, statistic string) awscloudwatch.IMetric {
	return cacheMetric(name, statistic, name, map[string]*string{"clusterId": c.Ref()})
}

func (c serverlessCache) graphs() []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("Cache: ECPU a minute", c.metric("ElastiCacheProcessingUnits", "Sum")),
		graph("Cache: bytes used", c.metric("BytesUsedForCache", "Maximum")),
		graph("Cache: latency (µs)", c.metric("SuccessfulReadRequestLatency", "p99"),
			c.metric("SuccessfulWriteRequestLatency", "p99")),
		graph("Cache: throttled and evicted", c.metric("ThrottledCmds", "Sum"), c.metric("Evictions", "Sum")),
	}
}

func (c serverlessCache) alarms() []Alarm {
	return []Alarm{
		{"StoreThrottled", "The session cache throttles requests: raise cacheMaxECPU, or wait for it to scale.",
			c.metric("ThrottledCmds", "Sum"), 1, 3},
		{"StoreEvicts", "The session cache evicts sessions: visitors are logged out. Raise cacheMaxGB.",
			c.metric("Evictions", "Sum"), 1, 1},
	}
}
