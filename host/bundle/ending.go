package bundle

import "strings"

// endings are how bundles are called: archives, and single files under a compression.
var endings = []string{".tar.zst", ".tar.gz", ".tgz", ".safetensors.zst", ".safetensors.gz", ".gguf.zst", ".gguf.gz"}

// Stem returns a bundle's name without its ending; ok is false for a name that no bundle has. What a file is, its content says: a name
// is for whoever decides whether to look.
func Stem(name string) (stem string, ok bool) {
	lower := strings.ToLower(name)
	for _, ending := range endings {
		if strings.HasSuffix(lower, ending) {
			return name[:len(name)-len(ending)], true
		}
	}
	return name, false
}
