"""EC2 as AWS has it: the tags of a launch template are its own, and no part of what it launches."""

from typing import Any

from moto.ec2.models import EC2Backend


def patch() -> None:
    """Puts the behaviour in place; without, Terraform sees a difference."""
    original = EC2Backend.create_launch_template

    def create_launch_template(
        self: Any, name: str, description: str, data: dict[str, Any], tags: dict[str, Any]
    ) -> Any:
        specifications = data.get("TagSpecifications", [])
        launched = [each for each in specifications if each["ResourceType"] != "launch-template"]
        return original(self, name, description, {**data, "TagSpecifications": launched}, tags)

    EC2Backend.create_launch_template = create_launch_template
