package registry

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// networked are the file systems, by the number statfs(2) gives, on which neither locks nor SQLite's shared memory hold between machines.
var networked = map[int64]string{
	0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "CIFS", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x73757245: "Coda",
	0x564c: "NCP", 0x00c36400: "Ceph", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x7461636f: "OCFS2", 0x01161970: "GFS2",
}

// uncertain are those that may be on the network, or on this machine.
var uncertain = map[int64]string{0x65735546: "FUSE", 0x01021997: "9p", 0x6a656a63: "virtiofs"}

// checkFileSystem refuses a directory on a network file system, and warns of one that may be on one.
func checkFileSystem(dir string, log *slog.Logger) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return dirFault(dir, err)
	}
	return judgeFileSystem(dir, int64(stat.Type)&0xffffffff, log)
}

func judgeFileSystem(dir string, magic int64, log *slog.Logger) error {
	if name, ok := networked[magic]; ok {
		return fault.New(fault.RegNetwork, "the data directory is on %s, a network file system", name).In(dir).
			Fix("name a --data directory on a local disk: a lock on the network does not keep two hosts apart")
	}
	if name, ok := uncertain[magic]; ok {
		log.Warn("the data directory may be on the network; it must belong to this machine alone", "dir", dir, "filesystem", name)
	}
	return nil
}
