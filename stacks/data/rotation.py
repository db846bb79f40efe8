"""Rotates the keys that seal cookies and sign tokens. AWS Secrets Manager calls it for each step of a rotation.

The secret is a list of keys, separated by commas: the one that seals, the one that will seal after the next rotation,
and the one that sealed before. Servers read it when they start, and all of them start anew between two rotations. So
every server can open what any other seals.
"""
import base64
import secrets

import boto3


def rotated(keys):
    fresh = base64.b64encode(secrets.token_bytes(33)).decode()[:42]
    if len(keys) == 1:  # just made: servers may have started with it
        return [keys[0], fresh]
    return [keys[1], fresh, keys[0]]


def handler(event, _context):
    client = boto3.client("secretsmanager")
    secret, version = event["SecretId"], event["ClientRequestToken"]
    if event["Step"] == "createSecret":
        stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        if version in stages and "AWSCURRENT" in stages[version]:
            return
        current = client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["SecretString"]
        try:
            client.get_secret_value(SecretId=secret, VersionId=version, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:  # else a repeated call
            client.put_secret_value(SecretId=secret, ClientRequestToken=version, VersionStages=["AWSPENDING"],
                                    SecretString=",".join(rotated(current.split(","))))
    elif event["Step"] == "finishSecret":
        stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        current = next(v for v, labels in stages.items() if "AWSCURRENT" in labels)
        if current != version:
            client.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version,
                                               RemoveFromVersionId=current)
