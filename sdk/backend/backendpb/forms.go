package backendpb

// The forms of a Patch that DescribeResponse.forms may name.
const (
	FormReshaped  = "reshaped"
	FormBlocks    = "blocks"
	FormDense     = "dense"
	FormStart     = "start"
	FormMagnitude = "magnitude"
)
