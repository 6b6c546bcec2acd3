"""EC2 as AWS has it: a launch template has tags of its own; the same route may be requested twice."""

from typing import Any

from moto.ec2.models import EC2Backend


def patch() -> None:
    """Install the behaviours: without them, Terraform plans a change, or fails when it repeats a request."""
    _patch_launch_templates()
    _patch_routes()


def _patch_routes() -> None:
    original = EC2Backend.create_route

    def create_route(
        self: Any, route_table_id: str, destination_cidr_block: str | None, *positional: Any, **named: Any
    ) -> Any:
        for route in self.get_route_table(route_table_id).routes:
            same_end = route.destination_cidr_block == destination_cidr_block
            if same_end and route.gateway and route.gateway.id == named.get("gateway_id"):
                return route
        return original(self, route_table_id, destination_cidr_block, *positional, **named)

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
