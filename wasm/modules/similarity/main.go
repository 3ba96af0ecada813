// Command similarity is the diagnostic that answers "will it clash?": how far the subspaces of two adapters on the same base overlap, the
// φ of the LoRA paper, each beside what independent random subspaces would give.
package main

import "github.com/tenon-ml/tenon/sdk/diag"

func init() { diag.Register(diagnose) }

func main() {}
