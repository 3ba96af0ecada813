package backend

// SquareOrder returns the sums of squares that a patch with magnitudes is scaled by: one for each of outputs equal parts of V, a matrix of f32 that
// is stored row-major in rows of cols entries. The length of an output is the square root of its sum, and its gain f32(magnitude / length), both in
// f64.
//
// Every square is exact in f64, and the order in which squares are added is part of the contract, so that a machine of any vector width gives the
// same bits. Where an output is a row, of which there are as many as outputs, it is summed in 16 lanes as a product of Probe is. With every lane 0 at
// first,
//
//	lane[j%16] += v[j] * v[j], for j ascending
//	lane[l] += lane[l+8], for l from 0 to 7
//	lane[l] += lane[l+4], for l from 0 to 3
//	lane[l] += lane[l+2], for l from 0 to 1
//	sum = lane[0] + lane[1]
//
// Where outputs are of columns, as with fan_in_fan_out and magnitude_of_inputs, each stored column is summed first, row after row from 0, and then
// the sums of the cols/outputs columns of an output are added, ascending, to that of its first. V's rows are all of the matrix's, of every block.
//
// It is what a backend can be tested with, not what it should compute with. v has whole rows, and outputs divides cols where it is of columns.
func SquareOrder(v []float32, cols, outputs int, ofColumns bool) []float64 {
	sums := make([]float64, outputs)
	if !ofColumns {
		for i := range sums {
			var lanes [16]float64
			for j, x := range v[i*cols : (i+1)*cols] {
				lanes[j%16] += float64(x) * float64(x)
			}
			for distance := 8; distance > 0; distance /= 2 {
				for l := range distance {
					lanes[l] += lanes[l+distance]
				}
			}
			sums[i] = lanes[0]
		}
		return sums
	}
	columns := make([]float64, cols)
	for at := 0; at < len(v); at += cols {
		for j, x := range v[at : at+cols] {
			columns[j] += float64(x) * float64(x)
		}
	}
	width := cols / outputs
	for i := range sums {
		run := columns[i*width : (i+1)*width]
		sums[i] = run[0]
		for _, sum := range run[1:] {
			sums[i] += sum
		}
	}
	return sums
}
