// The Kubernetes provider of Pulumi, from its module.
//
// Upstream's own main embeds two files that its release process generates and does not publish.
// What they are generated from is in the module: toolchain/tools.py lays it over the two names below.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, terraformMapping)
}
