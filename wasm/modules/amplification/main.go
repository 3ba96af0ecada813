// Command amplification is the diagnostic that answers "is it too strong, and for which directions?": the columns of Table 7 of the LoRA
// paper for every adapted weight, each beside what random directions would give.
package main

import "github.com/tenon-ml/tenon/sdk/diag"

func init() { diag.Register(diagnose) }

func main() {}
