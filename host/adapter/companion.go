package adapter

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
)

// companions are the files beside an adapter that people need and no merge does: its model card and its terms.
var companions = regexp.MustCompile(`(?i)^(readme|license|licence|notice)(\.md|\.txt)?$`)

// maxCompanion is what such a file may have, in bytes.
const maxCompanion = 1 << 20

func isCompanion(name string) bool { return companions.MatchString(name) }

// OpenPackage is Open that also gives what travels with the adapter when it is packed: the README, LICENSE and NOTICE files beside it, as they
// are. One that cannot be read, or is too large for a text, is refused, so that none is left behind in silence.
func OpenPackage(ref string) (*Adapter, []File, error) {
	var beside []File
	a, err := open(ref, func(d directory) error {
		for _, entry := range d.Entries {
			if !isCompanion(entry) {
				continue
			}
			text, err := d.Read(entry, maxCompanion)
			if err != nil {
				return err
			}
			if len(text) > maxCompanion {
				return fault.New(fault.ADArchive, "the file has more than %d bytes, and is packed with the adapter", maxCompanion).In(d.Name(entry)).
					Fix("make it shorter, or move it elsewhere")
			}
			if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
				return fault.New(fault.STWrongType, "the file is packed with the adapter, and is no text").In(d.Name(entry)).Fix("remove it, or save it as UTF-8")
			}
			beside = append(beside, File{Name: entry, Data: bytes.NewReader(text), Size: int64(len(text)), SHA256: sha256.Sum256(text)})
		}
		return nil
	})
	return a, beside, err
}
