"""The CloudFormation resource types that the stacks use and MiniStack lacks.

Where MiniStack has the API of a service, a type here calls that API, so that the resources exist and can be read back
and deleted. Other types are in PRETENDED: CloudFormation reports success, but no resource exists.
"""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import budgets, ec2, elasticache, secretsmanager, waf
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Attributes = dict[str, Any]
# Create makes a resource from its logical id, its resolved properties and the stack's name. It returns the value of Ref
# and the values of Fn::GetAtt.
Create = Callable[[str, Properties, str], tuple[str, Attributes]]
# Delete deletes a resource, given the value of Ref and the properties.
Delete = Callable[[str, Properties], None]
# Response is the status, headers and body of an API's response.
Response = tuple[int, Mapping[str, str], bytes | str]

PRETENDED = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFront::VpcOrigin",
    "AWS::DAX::Cluster",
    "AWS::DAX::ParameterGroup",
    "AWS::DAX::SubnetGroup",
    "AWS::WAFv2::LoggingConfiguration",
)
# Parts that a type only pretends, although the resource exists.
PARTLY = ("the disks and metadata options of AWS::EC2::Instance", "rotations of AWS::SecretsManager::RotationSchedule")


def register() -> None:
    """Adds the types to MiniStack. It is an error if a newer MiniStack has one of them; then remove it here."""
    table: dict[str, tuple[Create, Delete]] = {
        "AWS::Budgets::Budget": (_create_budget, _delete_budget),
        "AWS::EC2::EIP": (_create_address, _delete_address),
        "AWS::EC2::NatGateway": (_create_nat_gateway, _delete_nat_gateway),
        "AWS::EC2::FlowLog": (_create_flow_log, _delete_flow_log),
        "AWS::EC2::Instance": (_create_instance, _delete_instance),
        "AWS::EC2::SecurityGroupIngress": _security_group_rule("Ingress", "Source"),
        "AWS::EC2::SecurityGroupEgress": _security_group_rule("Egress", "Destination"),
        "AWS::ElastiCache::ServerlessCache": (_create_serverless_cache, _delete_serverless_cache),
        "AWS::SecretsManager::RotationSchedule": (_create_rotation, _delete_rotation),
        "AWS::WAFv2::WebACLAssociation": (_create_association, _delete_association),
        **{name: (_pretend, _forget) for name in PRETENDED},
    }
    for name, (create, delete) in table.items():
        if name in provisioners._RESOURCE_HANDLERS:
            raise SystemExit(f"MiniStack has {name} itself now: remove it from {__file__}")
        # Without "update", a change creates a new resource and then deletes the old one. CloudFormation does the same
        # for nearly every property of these types.
        provisioners._RESOURCE_HANDLERS[name] = {"create": create, "delete": delete}


def _query(properties: Properties) -> dict[str, str]:
    """Converts properties to parameters of EC2's API, with names such as A.1.B."""
    flat: dict[str, str] = {}

    def put(key: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                put(f"{key}.{name}", inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value, 1):
                put(f"{key}.{number}", inner)
        else:
            flat[key] = str(value)

    for name, value in properties.items():
        put(name, value)
    return flat


def _ec2(action: str, result: str, **properties: Any) -> str:
    """Calls EC2's API and returns the text of the first element named result, if any."""
    status, _, body = ec2._ACTION_MAP[action](_query(properties))
    root = ElementTree.fromstring(body)
    texts = {element.tag.rpartition("}")[2]: element.text or "" for element in reversed(list(root.iter()))}
    if status >= 400:
        raise ValueError(f"{action}: {texts.get('Code')}: {texts.get('Message')}")
    return texts.get(result, "")


def _json(call: Callable[[Properties], Response], **request: Any) -> Properties:
    """Calls an API with the JSON protocol and returns the body of the response."""
    status, _, body = call(request)
    result = json.loads(body or "{}")
    if status >= 400:
        raise ValueError(f"{call.__name__}: {result}")
    return result


def _tags(kind: str, properties: Properties) -> list[Properties]:
    """Returns the tags as a TagSpecification of EC2's API."""
    return [{"ResourceType": kind, "Tag": properties["Tags"]}] if properties.get("Tags") else []


def _create_address(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    tags = _tags("elastic-ip", properties)
    allocation = _ec2("AllocateAddress", "allocationId", Domain=properties.get("Domain", "vpc"), TagSpecification=tags)
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _delete_address(address: str, _properties: Properties) -> None:
    for allocation, record in list(ec2._addresses.items()):
        if record["PublicIp"] == address:
            _ec2("ReleaseAddress", "", AllocationId=allocation)


def _create_nat_gateway(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    gateway = _ec2("CreateNatGateway", "natGatewayId", SubnetId=properties["SubnetId"],
                   AllocationId=properties.get("AllocationId", ""), TagSpecification=_tags("natgateway", properties))
    return gateway, {"NatGatewayId": gateway}


def _delete_nat_gateway(gateway: str, _properties: Properties) -> None:
    _ec2("DeleteNatGateway", "", NatGatewayId=gateway)


def _create_flow_log(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    plain = {name: properties[name] for name in names if name in properties}
    tags = _tags("vpc-flow-log", properties)
    log = _ec2("CreateFlowLogs", "item", ResourceId=[properties["ResourceId"]], TagSpecification=tags, **plain)
    return log, {"Id": log}


def _delete_flow_log(log: str, _properties: Properties) -> None:
    _ec2("DeleteFlowLogs", "", FlowLogId=[log])


def _create_instance(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    """Creates a record of an instance with one network interface. No instance runs."""
    interface = properties["NetworkInterfaces"][0]
    instance = _ec2("RunInstances", "instanceId", ImageId=properties["ImageId"],
                    InstanceType=properties["InstanceType"], SubnetId=interface["SubnetId"],
                    SecurityGroupId=interface["GroupSet"],
                    IamInstanceProfile={"Name": properties["IamInstanceProfile"]},
                    TagSpecification=_tags("instance", properties))
    return instance, {"InstanceId": instance, "VpcId": ec2._instances[instance].get("VpcId", "")}


def _delete_instance(instance: str, _properties: Properties) -> None:
    """Deletes the instance and its disks, as AWS does by default."""
    disks = [disk for disk, record in ec2._volumes.items()
             if any(attachment.get("InstanceId") == instance for attachment in record.get("Attachments", []))]
    _ec2("TerminateInstances", "", InstanceId=[instance])
    for disk in disks:
        ec2._volumes.pop(disk, None)


def _security_group_rule(direction: str, peer: str) -> tuple[Create, Delete]:
    """Returns the handlers of rules: Ingress with the peer Source, or Egress with the peer Destination."""

    def create(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
        described = {"Description": properties.get("Description", "")}
        permission = {name: properties[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in properties}
        for name, group, key in (("CidrIp", "IpRanges", "CidrIp"), ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
                                 (f"{peer}SecurityGroupId", "Groups", "GroupId")):
            if name in properties:
                permission[group] = [{key: properties[name], **described}]
        rule = _ec2(f"AuthorizeSecurityGroup{direction}", "securityGroupRuleId",
                    GroupId=properties["GroupId"], IpPermissions=[permission])
        return rule, {"Id": rule}

    def delete(rule: str, properties: Properties) -> None:
        _ec2(f"RevokeSecurityGroup{direction}", "", GroupId=properties["GroupId"], SecurityGroupRuleId=[rule])

    return create, delete


def _create_serverless_cache(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    kind, name = "AWS::ElastiCache::ServerlessCache", properties["ServerlessCacheName"].lower()
    provisioners._ec_call(elasticache._create_serverless_cache, provisioners._ec_query(properties), kind, "create")
    cache = elasticache._serverless_caches[name]
    attributes = {"ARN": cache["ARN"], "Status": cache["Status"]}
    for endpoint in ("Endpoint", "ReaderEndpoint"):
        attributes |= {f"{endpoint}.{key}": str(value) for key, value in cache[endpoint].items()}
    return name, attributes


def _delete_serverless_cache(name: str, _properties: Properties) -> None:
    provisioners._ec_call(elasticache._delete_serverless_cache, {"ServerlessCacheName": name},
                          "AWS::ElastiCache::ServerlessCache", "delete")


def _create_budget(logical_id: str, properties: Properties, stack: str) -> tuple[str, Attributes]:
    """Creates the budget under a name of CloudFormation's form. It compares nothing with the costs."""
    name = f"{stack}-{logical_id}-{uuid.uuid4().hex[:8]}"
    _json(budgets._create_budget, **properties | {"Budget": {"BudgetName": name, **properties["Budget"]}})
    return name, {}


def _delete_budget(name: str, _properties: Properties) -> None:
    _json(budgets._delete_budget, BudgetName=name)


def _create_rotation(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    """Creates the schedule. MiniStack promotes a copy of the secret and does not call the function."""
    secret = _json(secretsmanager._rotate_secret, **properties)
    return secret["ARN"], {"Id": secret["ARN"]}


def _delete_rotation(secret: str, _properties: Properties) -> None:
    """Does nothing: MiniStack can't cancel a rotation, and the stack deletes the secret right after."""


def _create_association(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, Attributes]:
    _json(waf._associate_web_acl, **properties)
    return f"{properties['ResourceArn']}|{properties['WebACLArn']}", {}


def _delete_association(_name: str, properties: Properties) -> None:
    _json(waf._disassociate_web_acl, ResourceArn=properties["ResourceArn"])


def _pretend(logical_id: str, _properties: Properties, stack: str) -> tuple[str, Attributes]:
    name = f"{stack}-{logical_id}-{uuid.uuid4().hex[:8]}"
    return name, {"Id": name, "Arn": name, "ClusterDiscoveryEndpointURL": f"daxs://{name}.example.com"}


def _forget(_name: str, _properties: Properties) -> None:
    pass
