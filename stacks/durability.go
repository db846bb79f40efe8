package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
)

// durabilityGraphs returns a graph of the age of the oldest write that is acknowledged and not yet durable. It is zero with
// DurabilitySync. With DurabilityAsync, a primary refuses writes when it reaches 10,000 ms.
func durabilityGraphs(cache awselasticache.CfnReplicationGroup, c CacheConfig) []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("Cache: age of writes that are not durable yet (ms)", replicationMetrics(cache, c, "DurabilityLag", "Maximum")...),
		graph("Cache: writes are throttled (1) or not (0)", replicationMetrics(cache, c, "TrafficManagementActive", "Maximum")...),
	}
}

// durabilityAlarms returns an alarm on the maximum over the first ten nodes, as replicationAlarms does.
func durabilityAlarms(cache awselasticache.CfnReplicationGroup, c CacheConfig) []Alarm {
	metrics := replicationMetrics(cache, c, "DurabilityLag", "Maximum")
	return []Alarm{{"StoreLags", "The session cache has acknowledged writes of 5 s ago or longer that are not durable. At 10 s it " +
		"refuses writes: visitors get 503.", maxOf("DurabilityLag", metrics[:min(len(metrics), 10)]), 5000, 3}}
}
