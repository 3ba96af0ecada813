package registry

import (
	"io"
	"os"

	"github.com/tenon-ml/tenon/host/durable"
)

// disk is how files come onto it. Tests put failing ones in place of these.
type disk struct {
	create  func(path string, fill func(io.Writer) error) error
	publish func(work, out string) error
	sync    func(*os.File) error
	syncDir func(dir string) error
}

var realDisk = disk{create: durable.Create, publish: durable.Publish, sync: (*os.File).Sync, syncDir: durable.SyncDir}
