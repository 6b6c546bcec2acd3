"""EC2 as AWS has it: tags of a launch template are its own; a route may be asked for twice."""

from typing import Any

from moto.ec2.models import EC2Backend


def patch() -> None:
    """Puts the behaviour in place; without, Terraform sees a difference, or fails where a request is made again."""
    _patch_launch_templates()
    _patch_routes()


def _patch_routes() -> None:
    original = EC2Backend.create_route

    def create_route(
        self: Any, route_table_id: str, destination_cidr_block: str | None, *said: Any, **named: Any
    ) -> Any:
        for route in self.get_route_table(route_table_id).routes:
            same_end = route.destination_cidr_block == destination_cidr_block
            if same_end and route.gateway and route.gateway.id == named.get("gateway_id"):
                return route
        return original(self, route_table_id, destination_cidr_block, *said, **named)

    EC2Backend.create_route = create_route


def _patch_launch_templates() -> None:
    original = EC2Backend.create_launch_template

    def create_launch_template(
        self: Any, name: str, description: str, data: dict[str, Any], tags: dict[str, Any]
    ) -> Any:
        specifications = data.get("TagSpecifications", [])
        launched = [each for each in specifications if each["ResourceType"] != "launch-template"]
        return original(self, name, description, {**data, "TagSpecifications": launched}, tags)

    EC2Backend.create_launch_template = create_launch_template
