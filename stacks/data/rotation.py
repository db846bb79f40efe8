"""Rotates the keys that seal cookies and sign tokens. AWS Secrets Manager calls handler for each step of a rotation.

The secret is a list of keys, separated by commas: the current key, the key that becomes current at the next rotation,
and the previous key. Servers read the secret when they start, and every server is replaced between two rotations. So
every server can open what any other server sealed.
"""
import base64
import secrets

import boto3


def rotated(keys):
    fresh = base64.b64encode(secrets.token_bytes(33)).decode()[:42]
    if len(keys) == 1:  # the first rotation: servers may already use the only key
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
        except client.exceptions.ResourceNotFoundException:  # otherwise the call is a repetition
            client.put_secret_value(SecretId=secret, ClientRequestToken=version, VersionStages=["AWSPENDING"],
                                    SecretString=",".join(rotated(current.split(","))))
    elif event["Step"] == "finishSecret":
        stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        current = next(v for v, labels in stages.items() if "AWSCURRENT" in labels)
        if current != version:
            client.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version,
                                               RemoveFromVersionId=current)
