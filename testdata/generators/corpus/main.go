// Command corpus writes the inputs of host/testdata/corpus: one folder for each bad input of the groups A (safetensors bytes) and B (what an adapter
// means), with the adapter as a stranger would hand it over. What each must get stands in its expect.json, which is written by hand and kept.
//
//	go run ./testdata/generators/corpus host/testdata/corpus
//
// The values are drawn from PCG with fixed seeds, so the same bytes come out everywhere.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: corpus DIRECTORY")
	}
	dir := os.Args[1]
	write(filepath.Join(dir, "base"), base())
	names := map[string]bool{}
	for _, in := range append(containers(), meanings()...) {
		if names[in.name] {
			log.Fatalf("%s is there twice", in.name)
		}
		names[in.name] = true
		write(filepath.Join(dir, in.name, "adapter"), in.files)
	}
}

// input is one bad input: its folder's name, which begins with the row it is of, and its files.
type input struct {
	name  string
	files map[string][]byte
}

func write(dir string, files map[string][]byte) {
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// tensor is one entry of a file: data is little-endian.
type tensor struct {
	name, dtype string
	shape       []int
	data        []byte
}

// safetensors lays tensors out one after the other.
func safetensors(tensors []tensor) []byte {
	var header strings.Builder
	header.WriteString(`{"__metadata__":{"format":"pt"}`)
	var data []byte
	for _, t := range tensors {
		shape, _ := json.Marshal(t.shape)
		name, _ := json.Marshal(t.name)
		fmt.Fprintf(&header, `,%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, len(data), len(data)+len(t.data))
		data = append(data, t.data...)
	}
	header.WriteString("}")
	for header.Len()%8 != 0 {
		header.WriteString(" ")
	}
	return append(framed(header.String()), data...)
}

// framed is a header behind its length.
func framed(header string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
}

// f32s are normal numbers times scale.
func f32s(name string, scale float64, shape ...int) tensor {
	random := rand.New(rand.NewPCG(uint64(len(name)), sum(name)))
	n := 1
	for _, d := range shape {
		n *= d
	}
	var data []byte
	for range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(scale*random.NormFloat64())))
	}
	return tensor{name, "F32", shape, data}
}

func sum(text string) (h uint64) {
	for _, c := range []byte(text) {
		h = h*1099511628211 + uint64(c)
	}
	return h
}

// halfOf is a tensor as F16.
func halfOf(t tensor) tensor {
	var data []byte
	for i := 0; i < len(t.data); i += 4 {
		data = binary.LittleEndian.AppendUint16(data, half(math.Float32frombits(binary.LittleEndian.Uint32(t.data[i:]))))
	}
	return tensor{t.name, "F16", t.shape, data}
}

// half truncates a number that F16 can hold as a normal one; smaller ones become 0.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	exponent := int(bits>>23&0xff) - 127 + 15
	if exponent <= 0 {
		return uint16(bits >> 16 & 0x8000)
	}
	return uint16(bits>>16&0x8000) | uint16(exponent)<<10 | uint16(bits>>13&0x3ff)
}

func object(fields map[string]any) []byte {
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	return append(text, '\n')
}
