// What the files of the conformance guest share. A target of NULL stands for the adapter as a whole.

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "tenon.h"

extern tenon_run *run;

bool outcome(const tenon_target *to, const char *name, int32_t result);
void metric(const tenon_target *to, const char *name, const char *suffix, double value);
void grid(const tenon_target *to, const char *name, int32_t rows, int32_t cols, const double *values);
void numbers(const tenon_target *to, const char *name, const char *suffix, int32_t rows, int32_t cols, const double *values);
void matrix(const tenon_target *to, const char *name, const char *suffix, tenon_tensor t);
tenon_tensor ramp(int32_t rows, int32_t cols);

void kernels(const tenon_target *t);
void weights(const tenon_target *t);
void failures(const tenon_target *t);
void findings(void);

#endif
