// Command hygiene is the diagnostic that answers "is it broken, and does it do anything?": values that are not finite, factors of zeros,
// merged weights that overflow the base's dtype, and an adapter whose every change is lost in rounding.
package main

import "github.com/tenon-ml/tenon/sdk/diag"

func init() { diag.Register(diagnose) }

func main() {}
