package main

// refactored is the same change in other factors, B' = 2 B and A' = A / 2 with a row and a column of zeros added to the rank.
func refactored(benign *lora) *lora {
	out := benign.clone()
	r := float64(out.rank())
	value, _ := out.config["lora_alpha"].(float64)
	out.config["r"], out.config["lora_alpha"] = r+1, value/r*(r+1)
	for _, name := range out.names(suffixA) {
		m := out.tensors[name]
		m.scale(0.5)
		m.data, m.rows = append(m.data, make([]float32, m.cols)...), m.rows+1
	}
	out.eachB(func(m *matrix) {
		wide := &matrix{rows: m.rows, cols: m.cols + 1, data: make([]float32, m.rows*(m.cols+1))}
		for i := range m.rows {
			for j := range m.cols {
				wide.data[i*wide.cols+j] = 2 * m.data[i*m.cols+j]
			}
		}
		*m = *wide
	})
	return out
}

// opposite is nine tenths of the change with the opposite sign.
func opposite(benign *lora) *lora {
	out := benign.clone()
	out.eachB(func(m *matrix) { m.scale(-0.9) })
	return out
}
