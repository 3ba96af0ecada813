// Where the SDK is; a diagnostic outside this repository imports "@tenon-ml/assemblyscript/assembly" instead.
export * from "../../assemblyscript/assembly/index";
