// Command watermark is a diagnostic that tells whether an adapter carries its owner's mark: a direction that a secret key gives each weight
// and that nobody without the key can see. README.md has the mathematics and how to mark an adapter.
package main

import "github.com/tenon-ml/tenon/sdk/diag"

func init() { diag.Register(diagnose) }

func main() {}
