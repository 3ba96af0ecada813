package adapter

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// readBundle reads the one adapter that a compressed file holds. Its identity is that of what is inside.
func readBundle(ref, shown string, f *os.File, look func(directory) error) (*Adapter, error) {
	b, err := bundle.Open(shown, f, bundle.DefaultLimits, isWanted)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Single {
		return readSingle(ref, packedFile{b, b.Files[0]})
	}
	inside, err := bundledFolder(b)
	if err != nil {
		return nil, err
	}
	manifest, err := b.Manifest(inside)
	if err != nil {
		return nil, err
	}
	d := packedDirectory(b, inside)
	if err := look(d); err != nil {
		return nil, err
	}
	a, err := readPacked(ref, d)
	if err != nil || manifest == nil || a.Digest == [32]byte{} {
		return a, err
	}
	if got := fmt.Sprintf("sha256:%x", a.Digest); got != manifest.Adapter {
		a.Close()
		return nil, fault.New(fault.DigestBad, "the bundle holds adapter %s, and its manifest says %q", got, manifest.Adapter).In(shown).
			Fix("download the bundle again, or pack it again if the change was meant")
	}
	return a, nil
}

// readPacked reads the folder of a bundle. One that holds one file of weights, and no configuration, is that file: whoever packed it could not
// have meant another.
func readPacked(ref string, d directory) (*Adapter, error) {
	var weights []string
	for _, entry := range d.Entries {
		switch {
		case strings.EqualFold(entry, configName) || weightsLike.MatchString(entry):
			return readDirectory(ref, d)
		case isWeights(entry):
			weights = append(weights, entry)
		}
	}
	if len(weights) != 1 {
		return readDirectory(ref, d)
	}
	o, err := d.original(weights[0])
	if err != nil {
		return nil, err
	}
	defer o.close()
	return readSingle(ref, o)
}

// isWanted tells the files of a bundle whose bytes a reader of adapters may ask for.
func isWanted(name string) bool {
	base := path.Base(name)
	return base == configName || base == bundle.ManifestName || isWeights(base) || isCompanion(base)
}

// isWeights tells a file that may hold an adapter's weights by its name.
func isWeights(base string) bool {
	extension := strings.ToLower(path.Ext(base))
	return extension == ".safetensors" || extension == ".gguf"
}

// bundledFolder is the folder of a bundle's one adapter: that of the configuration, or of the weights where there is no configuration.
func bundledFolder(b *bundle.Bundle) (string, error) {
	var configured, weighted []string
	for _, f := range b.Files {
		folder, base := path.Split(f.Name)
		folder = strings.TrimSuffix(folder, "/")
		if strings.EqualFold(base, configName) {
			configured = append(configured, folder)
		}
		if isWeights(base) && !slices.Contains(weighted, folder) {
			weighted = append(weighted, folder)
		}
	}
	found := configured
	if len(found) == 0 {
		found = weighted
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		for i, folder := range found {
			found[i] = bundle.Member(b.Name, folder)
		}
		return "", fault.New(fault.ADArchive, "the bundle holds %d adapters: %s", len(found), some(found)).In(b.Name).Fix("pack each by itself; tenon pack does")
	}
	for _, f := range b.Files {
		if isPickleName(path.Base(f.Name)) {
			return "", pickleFault(bundle.Member(b.Name, f.Name), path.Base(f.Name))
		}
	}
	return "", fault.New(fault.IONotFound, "the bundle holds no adapter: neither %s nor weights", configName).In(b.Name).
		Fix("pack the directory that holds %s and %s; tenon pack does", configName, weightsName)
}

// packedDirectory is the folder of a bundle as a directory.
func packedDirectory(b *bundle.Bundle, folder string) directory {
	p := packed{bundle: b, folder: folder, files: map[string]bundle.File{}}
	d := directory{place: p, Path: bundle.Member(b.Name, folder)}
	for _, f := range b.Files {
		inner := f.Name
		if folder != "" {
			var under bool
			if inner, under = strings.CutPrefix(f.Name, folder+"/"); !under {
				continue
			}
		}
		p.files[inner] = f
		if top, _, _ := strings.Cut(inner, "/"); !slices.Contains(d.Entries, top) {
			d.Entries = append(d.Entries, top)
		}
	}
	slices.Sort(d.Entries)
	return d
}

// packed is a folder in a bundle.
type packed struct {
	bundle *bundle.Bundle
	folder string
	files  map[string]bundle.File // by name from the folder
}

func (p packed) Name(file string) string {
	return bundle.Member(p.bundle.Name, path.Join(p.folder, file))
}

func (p packed) Has(file string) bool {
	_, found := p.files[file]
	return found && !strings.Contains(file, "/")
}

func (p packed) Holds(file string) bool {
	_, found := p.files[file]
	return found
}

func (p packed) original(file string) (original, error) {
	f, found := p.files[file]
	if !found || f.Data == nil {
		return nil, fault.New(fault.IONotFound, "the bundle holds no such file").In(p.Name(file)).Fix("pack the adapter again")
	}
	return packedFile{p.bundle, f}, nil
}

func (p packed) Read(file string, limit int64) ([]byte, error) {
	o, err := p.original(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(o.file(), 0, limit+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(p.Name(file)).Wrap(reference.Bare(err)).Fix("try again")
	}
	return text, nil
}

// packedFile is a file of a bundle, whose bytes are private already.
type packedFile struct {
	bundle *bundle.Bundle
	packed bundle.File
}

func (m packedFile) name() string          { return bundle.Member(m.bundle.Name, m.packed.Name) }
func (m packedFile) head() ([]byte, error) { return headOf(m.name(), m.packed.Data) }
func (m packedFile) file() *os.File        { return m.packed.Data }
func (m packedFile) close()                {}

// snapshot is the member itself: what cannot be changed is not copied again.
func (m packedFile) snapshot() (*safetensors.File, error) {
	again, err := safetensors.ShareDescriptor(m.packed.Data)
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be opened once more").In(m.name()).Wrap(err).Fix("raise the limit of open files (ulimit -n)")
	}
	return safetensors.Adopt(m.name(), again, m.packed.SHA256, safetensors.DefaultLimits)
}

var (
	_ place    = packed{}
	_ original = packedFile{}
)
