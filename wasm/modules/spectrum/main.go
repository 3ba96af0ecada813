// Command spectrum is the diagnostic that answers "is its rank too large?": how the change of every adapted weight is spread over its
// directions, told from the singular values of delta W alone.
package main

import "github.com/tenon-ml/tenon/sdk/diag"

func init() { diag.Register(diagnose) }

func main() {}
