"""What is deployed: the shop's services, with no word about how or where (no Pulumi import)."""
