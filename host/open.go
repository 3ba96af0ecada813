package host

import "github.com/tenon-ml/tenon/host/base"

// OpenBase opens a base to check adapters against. Large files that have not changed since they were last hashed are not hashed again;
// whoever writes or serves weights hashes what it reads. The caller closes it.
func (h *Host) OpenBase(ref string) (*base.Base, error) { return base.OpenCached(ref, h.cacheDir) }
