package diag

// tenon_abi_1 says which ABI this guest was built for. The host looks for the export and never calls it.
//
//go:wasmexport tenon_abi_1
func marker() {}

// diagnose is what the host calls: 0 is done, 1 is an error, whose text is in the log.
//
//go:wasmexport diagnose
func diagnose() int32 {
	if registered == nil {
		(&Run{}).Log("no diagnostic is registered: call diag.Register from an init function of the main package")
		return 1
	}
	if Call(registered) != nil {
		return 1
	}
	return 0
}
