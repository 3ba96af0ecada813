package sandbox

// handlers answer the functions of the ABI, by name. A test holds the table against abi.Functions.
var handlers = map[string]handler{
	"target_count": targetCount,
	"target_info":  targetInfo,
	"target_name":  targetName,
	"peer_count":   peerCount,
	"peer_name":    peerName,
	"peer_target":  peerTarget,
	"attr":         attribute,
	"param":        parameter,

	"bank_count":    bankCount,
	"bank_name":     bankName,
	"bank_features": bankFeatures,

	"tensor_shape":    tensorShape,
	"tensor_read_f32": tensorReadF32,
	"tensor_read_f64": tensorReadF64,
	"tensor_put_f64":  tensorPutF64,
	"tensor_drop":     tensorDrop,

	"matmul":        matmul,
	"axpby":         axpby,
	"stats":         stats,
	"qr":            qr,
	"svd":           svd,
	"delta_svd":     deltaSVD,
	"delta_values":  deltaValues,
	"project":       project,
	"project_stats": projectStats,
	"base_svd":      baseSVD,
	"round_loss":    roundLoss,
	"rounding":      rounding,
	"merged_svd":    mergedSVD,
	"last_error":    lastError,

	"metric":  metric,
	"grid":    grid,
	"finding": finding,
	"log":     writeLog,
}
