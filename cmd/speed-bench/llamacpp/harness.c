// Lets llama.cpp evaluate and continue texts, for speed-bench: requests and replies are lines of JSON, as protocol.go has them.
//
//	harness DIRECTORY-OF-THE-LIBRARIES MODEL.gguf THREADS
//
// The libraries are loaded at run time. What is declared here is the part of their interface that is used, of the release named below: another
// one may lay its structures out in another way, and is refused.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RELEASE "v0.5.0"

struct model_params {
	void *devices;
	const void *overrides;
	int32_t gpu_layers;
	int split_mode, load_mode, lazy_mode;
	int32_t main_gpu;
	const float *tensor_split;
	void *progress, *progress_data;
	const void *kv_overrides;
	bool vocab_only, check_tensors, extra_buffers, no_host, no_alloc, load_mtp;
};

struct context_params {
	uint32_t ctx, batch, ubatch, seq_max, rs_seq, outputs_max, outputs_max_per_seq;
	int32_t threads, threads_batch;
	int context_type, rope_scaling, pooling, attention, flash_attention;
	float rope_base, rope_scale, yarn[4];
	uint32_t yarn_original;
	float defrag;
	void *eval, *eval_data;
	int type_k, type_v;
	void *abort, *abort_data;
	bool embeddings, offload_kqv, no_perf, op_offload, swa_full, kv_unified;
	void *samplers;
	size_t sampler_count;
	void *other;
};

struct batch {
	int32_t tokens;
	int32_t *token;
	float *embeddings;
	int32_t *position;
	int32_t *seq_count;
	int32_t **seq;
	int8_t *logits;
};

static const char *(*version)(void);
static void (*load_backends)(const char *);
static void (*log_set)(void (*)(int, const char *, void *), void *);
static void (*backend_init)(void);
static struct model_params (*model_defaults)(void);
static struct context_params (*context_defaults)(void);
static void *(*model_load)(const char *, struct model_params);
static void *(*context_new)(void *, struct context_params);
static void (*context_free)(void *);
static const void *(*model_vocab)(const void *);
static int32_t (*vocab_size)(const void *);
static struct batch (*batch_new)(int32_t, int32_t, int32_t);
static void (*batch_free)(struct batch);
static int32_t (*decode)(void *, struct batch);
static float *(*logits_of)(void *, int32_t);

static void *model;
static int threads, vocab;

static void fail(const char *what, const char *why) {
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void quiet(int level, const char *text, void *data) {
	(void)data;
	if (level == 4) // errors
		fputs(text, stderr);
}

static void *library(const char *directory, const char *name) {
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	if (!handle)
		fail(path, dlerror());
	return handle;
}

static void *symbol(void *handle, const char *name) {
	void *address = dlsym(handle, name);
	if (!address)
		fail(name, "the library has no such function");
	return address;
}

static void load(const char *directory, const char *path) {
	void *ggml = library(directory, "libggml." RELEASE ".so"), *llama = library(directory, "libllama." RELEASE ".so");
	version = symbol(llama, "llama_version");
	load_backends = symbol(ggml, "ggml_backend_load_all_from_path");
	log_set = symbol(llama, "llama_log_set");
	backend_init = symbol(llama, "llama_backend_init");
	model_defaults = symbol(llama, "llama_model_default_params");
	context_defaults = symbol(llama, "llama_context_default_params");
	model_load = symbol(llama, "llama_model_load_from_file");
	context_new = symbol(llama, "llama_init_from_model");
	context_free = symbol(llama, "llama_free");
	model_vocab = symbol(llama, "llama_model_get_vocab");
	vocab_size = symbol(llama, "llama_vocab_n_tokens");
	batch_new = symbol(llama, "llama_batch_init");
	batch_free = symbol(llama, "llama_batch_free");
	decode = symbol(llama, "llama_decode");
	logits_of = symbol(llama, "llama_get_logits_ith");
	if (!strstr(version(), RELEASE + 1))
		fail(version(), "is not llama.cpp " RELEASE);
	log_set(quiet, NULL);
	load_backends(directory);
	backend_init();
	struct model_params p = model_defaults();
	p.gpu_layers = 0;
	model = model_load(path, p);
	if (!model)
		fail(path, "llama.cpp did not load it");
	vocab = vocab_size(model_vocab(model));
}

// member is what follows "name": in a line of JSON.
static char *member(char *line, const char *name) {
	char quoted[64];
	snprintf(quoted, sizeof quoted, "\"%s\":", name);
	char *found = strstr(line, quoted);
	return found ? found + strlen(quoted) : NULL;
}

static int number(char *line, const char *name) {
	char *at = member(line, name);
	return at ? atoi(at) : 0;
}

// numbers reads an array of integers. The caller owns it.
static int32_t *numbers(char *line, const char *name, int *count) {
	char *at = member(line, name);
	int32_t *all = malloc((strlen(line) / 2 + 1) * sizeof *all);
	*count = 0;
	if (!at || *at != '[')
		return all;
	for (at++; *at && *at != ']'; at += *at == ',')
		all[(*count)++] = strtol(at, &at, 10);
	return all;
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void add(struct batch *b, int32_t token, int position, int text, bool last) {
	int i = b->tokens++;
	b->token[i] = token, b->position[i] = position, b->seq_count[i] = 1, b->seq[i][0] = text, b->logits[i] = last;
}

static int32_t likeliest(const float *logits) {
	int best = 0;
	for (int i = 1; i < vocab; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

static double log_sum_exp(const float *logits) {
	float largest = logits[likeliest(logits)];
	double sum = 0;
	for (int i = 0; i < vocab; i++)
		sum += exp(logits[i] - largest);
	return largest + log(sum);
}

// generate reads as many prompts of one length as there are streams, one after the other, and then writes to all of them at the same time. It
// tells what the prompts took and what the tokens behind the first of each took, and the log-probability of the ids asked for as the first
// token of the first text.
static void generate(char *line) {
	int streams = number(line, "streams"), tokens = number(line, "tokens"), all, asked;
	int32_t *prompts = numbers(line, "prompts", &all), *ids = numbers(line, "ids", &asked);
	int length = streams > 0 ? all / streams : 0;
	if (streams < 1 || tokens < 1 || length < 1)
		fail("generate", "it needs streams, tokens and prompts");
	struct context_params p = context_defaults();
	p.seq_max = streams;
	p.ctx = streams * (length + tokens + 255) / 256 * 256 + streams * 256;
	p.threads = p.threads_batch = threads;
	void *context = context_new(model, p);
	if (!context)
		fail("generate", "llama.cpp made no context");
	struct batch b = batch_new(length > streams ? length : streams, 0, 1);
	int32_t *next = malloc(streams * sizeof *next);
	double *sample = calloc(asked + 1, sizeof *sample), begin = now();
	for (int text = 0; text < streams; text++) {
		b.tokens = 0;
		for (int i = 0; i < length; i++)
			add(&b, prompts[text * length + i], i, text, i == length - 1);
		if (decode(context, b))
			fail("generate", "llama_decode failed");
		float *logits = logits_of(context, length - 1);
		next[text] = likeliest(logits);
		if (!text && asked) {
			double norm = log_sum_exp(logits);
			for (int i = 0; i < asked; i++)
				sample[i] = logits[ids[i]] - norm;
		}
	}
	double read = now();
	for (int i = 1; i < tokens; i++) {
		b.tokens = 0;
		for (int text = 0; text < streams; text++)
			add(&b, next[text], length + i - 1, text, true);
		if (decode(context, b))
			fail("generate", "llama_decode failed");
		for (int text = 0; text < streams; text++)
			next[text] = likeliest(logits_of(context, text));
	}
	printf("{\"seconds\":[%.9f,%.9f],\"sample\":[", read - begin, now() - read);
	for (int i = 0; i < asked; i++)
		printf("%s%.9f", i ? "," : "", sample[i]);
	printf("]}\n");
	batch_free(b);
	context_free(context);
	free(prompts), free(ids), free(next), free(sample);
}

int main(int argc, char **argv) {
	if (argc != 4)
		fail("harness", "it needs the directory of the libraries, a model and a number of threads");
	threads = atoi(argv[3]);
	load(argv[1], argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"about\":{\"llama.cpp\":\"%s\"}}\n", version());
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, stdin) > 0)
		generate(line);
	return 0;
}
