// The kernels of one instruction set, as a table of functions. Each works on rows begin..end of channels-last maps [rows, channels], with a
// number of channels divisible by 16.
#pragma once

#include <cstdint>

// The bits of a bfloat16.
typedef uint16_t bfloat16;

// What a normalisation does to a channel: (x - mean) · factor + beta.
struct Affine {
  const float* mean;
  const float* factor;
  const float* beta;
};

template <typename T>
struct Kernels {
  // Adds the sums of (x - shift) and of its square over the rows, a channel.
  void (*statistics)(const T* x, int64_t begin, int64_t end, int64_t channels, const float* shift, double* sum, double* square);
  // y = normalised x, plus the shortcut unless that is null, through ReLU if asked for.
  void (*apply)(const T* x, const T* shortcut, T* y, int64_t begin, int64_t end, int64_t channels, const Affine& norm, bool relu);
  // Adds, a channel, the sums of g and of g · (x - mean), g being dy (plus `more`, unless that is null) where ReLU let it through; writes g to
  // `masked` unless that is null: it is needed with `more`, and possible else with ReLU and y. The sign of ReLU's input comes from y, or where y
  // is null (there was no shortcut) from x.
  void (*reduce)(const T* x, const T* y, const T* dy, const T* more, T* masked, int64_t begin, int64_t end, int64_t channels,
                 const Affine& norm, bool relu, double* sum, double* product);
  // dx = g · factor + (x - mean) · slope + offset.
  void (*input_gradient)(const T* x, const T* y, const T* dy, T* dx, int64_t begin, int64_t end, int64_t channels, const Affine& norm,
                         bool relu, const float* slope, const float* offset);
};

#define KERNELS_JOIN(name, type) name##_##type
#define KERNELS_JOIN_EXPANDED(name, type) KERNELS_JOIN(name, type)
#define KERNELS_NAME(type) KERNELS_JOIN_EXPANDED(KERNELS, type)
