"""Completes resource types of MiniStack that ignore some of the properties that the stacks set.

As in resources.py, the completions call MiniStack's APIs where they exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services import alb, autoscaling, cloudwatch_logs, dynamodb, ec2, elasticache, rds, ssm
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
# A Completion is called after a type's handler, with the value of Ref and the properties.
Completion = Callable[[str, Properties], None]

# The public parameter with the id of the newest image of Amazon Linux. The API can't write it.
IMAGE_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64"
IMAGE = "ami-0123456789abcdef0"

PRETENDED = ("the expression of an alarm on metric math",)

# While a log group of this name exists, servers fail to boot: they send the signal FAILURE, as boot.sh does.
FAILING_SERVERS = "servers-that-fail"


def register() -> None:
    """Adds the completions to MiniStack."""
    ssm._PUBLIC_AMI_PARAMETERS[IMAGE_PARAMETER] = IMAGE
    elasticache._SERVERLESS_ENGINE_VERSIONS["memcached"] = {"1.6": "1.6.22"}
    _admit_metric_math()
    _name_memcached_nodes()
    _show_target_groups()
    _fail_servers()
    _refuse_protected()
    completions: dict[str, Completion] = {
        "AWS::AutoScaling::AutoScalingGroup": _keep_target_groups,
        "AWS::DynamoDB::GlobalTable": _complete_table,
        "AWS::ElastiCache::User": _keep_authentication,
        "AWS::ElasticLoadBalancingV2::LoadBalancer": _place_balancer,
    }
    for name, completion in completions.items():
        handler = provisioners._RESOURCE_HANDLERS[name]
        handler["create"] = _then(handler["create"], completion, 1)
        handler["update"] = _then(handler["update"], completion, 2)


def _then(handle: Callable[..., Any], completion: Completion, position: int) -> Callable[..., Any]:
    """Returns a handler that calls handle and then completion, with the properties from the argument at position."""

    def both(*arguments: Any) -> Any:
        result = handle(*arguments)
        completion(result[0], arguments[position])
        return result

    return both


def _complete_table(table: str, properties: Properties) -> None:
    """Sets the expiry, encryption, protection and backups of a new table."""
    expiry = properties.get("TimeToLiveSpecification")
    if expiry:
        _call(dynamodb._update_ttl, {"TableName": table, "TimeToLiveSpecification": expiry})
    encryption = properties.get("SSESpecification", {})
    here = properties["Replicas"][0]
    _call(dynamodb._update_table, {
        "TableName": table, "DeletionProtectionEnabled": here.get("DeletionProtectionEnabled", False),
        "SSESpecification": {**encryption, "Enabled": encryption.get("SSEEnabled", False)}})
    backups = here.get("PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False})
    _call(dynamodb._update_continuous_backups, {"TableName": table, "PointInTimeRecoverySpecification": backups})


def _call(action: Callable[[Properties], Any], request: Properties) -> None:
    status, _, body = action(request)
    if status >= 400:
        raise ValueError(f"{action.__name__}: {body!r}")


def _keep_authentication(user: str, properties: Properties) -> None:
    kind = properties.get("AuthenticationMode", {}).get("Type")
    if kind:
        shown = "no-password" if kind == "no-password-required" else kind
        elasticache._users[user]["Authentication"] = {"Type": shown, "PasswordCount": 0}


def _fail_servers() -> None:
    """Fails the creation of an Auto Scaling group while the log group FAILING_SERVERS exists."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::AutoScaling::AutoScalingGroup"]
    create = handler["create"]

    def with_signals(*arguments: Any) -> Any:
        if FAILING_SERVERS in cloudwatch_logs._log_groups:
            raise ValueError("Received 1 FAILURE signal(s) out of 2. Unable to satisfy 100% MinSuccessfulInstancesPercent")
        return create(*arguments)

    handler["create"] = with_signals


def _refuse_protected() -> None:
    """Makes CloudFormation fail to delete a resource that is protected from deletion, as it does on AWS."""
    protected: dict[str, Callable[[str], Any]] = {
        "AWS::DynamoDB::GlobalTable": lambda name: dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled"),
        "AWS::RDS::DBCluster": lambda name: rds._clusters.get(name, {}).get("DeletionProtection"),
        "AWS::ElasticLoadBalancingV2::LoadBalancer": lambda arn: any(
            a["Key"] == "deletion_protection.enabled" and a["Value"] == "true" for a in alb._lb_attrs.get(arn, [])),
    }

    def guarded(is_protected: Callable[[str], Any], delete: Callable[..., Any]) -> Callable[..., Any]:
        def both(*arguments: Any) -> Any:
            if is_protected(arguments[0]):
                raise ValueError(f"{arguments[0]} is protected from deletion")
            return delete(*arguments)

        return both

    for name, is_protected in protected.items():
        handler = provisioners._RESOURCE_HANDLERS[name]
        handler["delete"] = guarded(is_protected, handler["delete"])


def _place_balancer(arn: str, properties: Properties) -> None:
    """Sets the VPC of a load balancer to that of its subnets."""
    alb._lbs[arn]["VpcId"] = ec2._subnets[properties["Subnets"][0]]["VpcId"]


def _keep_target_groups(group: str, properties: Properties) -> None:
    autoscaling._asgs[group]["TargetGroupARNs"] = properties.get("TargetGroupARNs", [])


def _show_target_groups() -> None:
    """Adds the target groups to the response of DescribeAutoScalingGroups."""
    instances = autoscaling._instances_xml

    def both(group: Properties) -> str:
        members = "".join(f"<member>{arn}</member>" for arn in group.get("TargetGroupARNs", []))
        return f"{instances(group)}<TargetGroupARNs>{members}</TargetGroupARNs>"

    autoscaling._instances_xml = both


def _admit_metric_math() -> None:
    """Creates alarms on metric math, which MiniStack refuses, without their expression. They never go off."""
    record = provisioners._cw_metric_alarm_record

    def without_expression(name: str, properties: Properties) -> Properties:
        if "Metrics" in properties:
            properties = {**properties, "Metrics": None, "Namespace": "pretended", "MetricName": "expression"}
        return record(name, properties)

    provisioners._cw_metric_alarm_record = without_expression


def _name_memcached_nodes() -> None:
    """Gives Memcached clusters an endpoint like those of AWS instead of localhost. They have no nodes."""
    attributes = provisioners._ec_cluster_attrs

    def named(cluster: str) -> Properties:
        record = elasticache._clusters.get(cluster)
        if record and record["Engine"] == "memcached":
            record["_endpoint"] = {"Address": f"{cluster}.abc123.cfg.use1.cache.amazonaws.com", "Port": 11211}
        return attributes(cluster)

    provisioners._ec_cluster_attrs = named
