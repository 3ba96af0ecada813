package backend

import "hash/fnv"

// Probe returns the probe vector of a tensor: n entries, each +1 or -1, n the number of columns the tensor is stored with. Host and backend both
// compute it, so that Verify sends 8 bytes, and a backend that did not merge cannot know in advance what it will be asked.
//
// Entry j is +1 where bit j%64 (0 is the lowest) of word j/64 is set, and -1 elsewhere. Word k is the (k+1)-th output of SplitMix64 whose state
// starts as seed XOR FNV-1a-64(tensor), the hash over the name's UTF-8 bytes:
//
//	state += 0x9e3779b97f4a7c15
//	z = state
//	z = (z XOR z>>30) * 0xbf58476d1ce4e5b9
//	z = (z XOR z>>27) * 0x94d049bb133111eb
//	word = z XOR z>>31
//
// For example Probe(1, "w", 8): FNV-1a-64("w") is 0xaf63ea4c86020456, the state starts as 0xaf63ea4c86020457, the first word is
// 0x47a4c53ac9632cd1, its lowest byte 0xd1 is 11010001 in binary, and so the probe is +1 -1 -1 -1 +1 -1 +1 +1.
//
// A product of a stored row w with the probe x is a sum of w[j] x[j], which are exact, in f64 and in 16 lanes, so that a machine of any vector
// width can take it and gives the same bits. With every lane 0 at first,
//
//	lane[j%16] += w[j] * x[j], for j ascending
//	lane[l] += lane[l+8], for l from 0 to 7
//	lane[l] += lane[l+4], for l from 0 to 3
//	lane[l] += lane[l+2], for l from 0 to 1
//	product = lane[0] + lane[1]
func Probe(seed uint64, tensor string, n int) []int8 {
	hash := fnv.New64a()
	hash.Write([]byte(tensor))
	state := seed ^ hash.Sum64()
	probe := make([]int8, n)
	var word uint64
	for j := range probe {
		if j%64 == 0 {
			state += 0x9e3779b97f4a7c15
			word = splitMix64(state)
		}
		probe[j] = int8(word>>(j%64)&1)*2 - 1
	}
	return probe
}

func splitMix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
