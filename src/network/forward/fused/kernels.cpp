// Batch normalisation with shortcut addition and ReLU in as few passes over memory as it takes, for channels-last maps: [rows, channels],
// a row being a pixel. Compiled once an instruction set (build.rs); KERNELS is the name of this copy. Knows nothing of libtorch.
#include "kernels.h"

#include <cstring>

namespace {

// Sixteen channels at a time: GCC's and Clang's portable vectors, which become whatever registers the instruction set has.
constexpr int64_t WIDTH = 16;
typedef float Floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));

// Rows whose sums are taken in float before they go to a double: a sum of 65,536 floats in one accumulator would lose three digits.
constexpr int64_t BLOCK = 128;

inline Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
inline void store(float* to, Floats value) { *reinterpret_cast<Floats*>(to) = value; }

// bfloat16 is the upper half of a float.
inline Floats load(const bfloat16* from) {
  Words words = __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words) << 16;
  Floats value;
  std::memcpy(&value, &words, sizeof value);
  return value;
}

// Rounds to the nearest, ties to even, as libtorch does; NaN stays NaN.
inline void store(bfloat16* to, Floats value) {
  Words words;
  std::memcpy(&words, &value, sizeof words);
  Words rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
  Words is_number = (Words)(value == value);
  rounded = (rounded & is_number) | (0x7fc0u & ~is_number);
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(rounded, Halves);
}

// NaN stays NaN, as in libtorch.
inline Floats positive_part(Floats value) { return value <= 0 ? Floats{} : value; }
inline Floats where_positive(Floats condition, Floats value) { return condition > 0 ? value : Floats{}; }

inline void add_to(double* sums, Floats values) {
  for (int lane = 0; lane < WIDTH; ++lane) sums[lane] += values[lane];
}

template <typename T>
void statistics(const T* x, int64_t begin, int64_t end, int64_t channels, const float* shift, double* sum, double* square) {
  for (int64_t first = begin; first < end; first += BLOCK) {
    const int64_t last = first + BLOCK < end ? first + BLOCK : end;
    for (int64_t c = 0; c < channels; c += WIDTH) {
      const Floats origin = load(shift + c);
      // Two accumulators each: an addition waits for the one before it.
      Floats sums[2] = {}, squares[2] = {};
      int64_t row = first;
      for (; row + 1 < last; row += 2) {
        for (int part = 0; part < 2; ++part) {
          const Floats value = load(x + (row + part) * channels + c) - origin;
          sums[part] += value;
          squares[part] += value * value;
        }
      }
      if (row < last) {
        const Floats value = load(x + row * channels + c) - origin;
        sums[0] += value;
        squares[0] += value * value;
      }
      add_to(sum + c, sums[0] + sums[1]);
      add_to(square + c, squares[0] + squares[1]);
    }
  }
}

template <typename T, bool ADD, bool RELU>
void apply(const T* x, const T* shortcut, T* y, int64_t begin, int64_t end, int64_t channels, const Affine& norm) {
  for (int64_t first = begin; first < end; first += BLOCK) {
    const int64_t last = first + BLOCK < end ? first + BLOCK : end;
    for (int64_t c = 0; c < channels; c += WIDTH) {
      const Floats mean = load(norm.mean + c), factor = load(norm.factor + c), beta = load(norm.beta + c);
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row * channels + c;
        Floats value = (load(x + at) - mean) * factor + beta;
        if (ADD) value += load(shortcut + at);
        store(y + at, RELU ? positive_part(value) : value);
      }
    }
  }
}

// What a value becomes in memory.
inline Floats rounded(Floats value, const float*) { return value; }
inline Floats rounded(Floats value, const bfloat16*) {
  bfloat16 memory[WIDTH];
  store(memory, value);
  return load(memory);
}

// The gradient that reaches the normalisation's output: that of the sum where ReLU let it through. Without an addition the sign of ReLU's
// input is recomputed, which is cheaper than reading its output.
template <typename T, bool RELU, bool FROM_OUTPUT>
inline Floats let_through(Floats gradient, const T* y, int64_t at, Floats centred, Floats factor, Floats beta) {
  if (!RELU) return gradient;
  if (FROM_OUTPUT) return where_positive(load(y + at), gradient);
  return where_positive(centred * factor + beta, gradient);
}

template <typename T, bool RELU, bool FROM_OUTPUT, bool WRITE, bool TWO>
void reduce(const T* x, const T* y, const T* dy, const T* more, T* masked, int64_t begin, int64_t end, int64_t channels, const Affine& norm, double* sum,
            double* product) {
  for (int64_t first = begin; first < end; first += BLOCK) {
    const int64_t last = first + BLOCK < end ? first + BLOCK : end;
    for (int64_t c = 0; c < channels; c += WIDTH) {
      const Floats mean = load(norm.mean + c), factor = load(norm.factor + c), beta = load(norm.beta + c);
      Floats sums[2] = {}, products[2] = {};
      const auto add = [&](int64_t row, int part) __attribute__((always_inline)) {
        const int64_t at = row * channels + c;
        const Floats centred = load(x + at) - mean;
        // Rounded as if the sum had been written.
        const Floats upstream = TWO ? rounded(load(dy + at) + load(more + at), dy) : load(dy + at);
        const Floats gradient = let_through<T, RELU, FROM_OUTPUT>(upstream, y, at, centred, factor, beta);
        if (WRITE) store(masked + at, gradient);
        sums[part] += gradient;
        products[part] += gradient * centred;
      };
      int64_t row = first;
      for (; row + 1 < last; row += 2) {
        add(row, 0);
        add(row + 1, 1);
      }
      if (row < last) add(row, 0);
      add_to(sum + c, sums[0] + sums[1]);
      add_to(product + c, products[0] + products[1]);
    }
  }
}

template <typename T, bool RELU, bool FROM_OUTPUT>
void input_gradient(const T* x, const T* y, const T* dy, T* dx, int64_t begin, int64_t end, int64_t channels, const Affine& norm,
                    const float* slope, const float* offset) {
  for (int64_t first = begin; first < end; first += BLOCK) {
    const int64_t last = first + BLOCK < end ? first + BLOCK : end;
    for (int64_t c = 0; c < channels; c += WIDTH) {
      const Floats mean = load(norm.mean + c), factor = load(norm.factor + c), beta = load(norm.beta + c);
      const Floats slopes = load(slope + c), offsets = load(offset + c);
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row * channels + c;
        const Floats centred = load(x + at) - mean;
        const Floats gradient = let_through<T, RELU, FROM_OUTPUT>(load(dy + at), y, at, centred, factor, beta);
        store(dx + at, gradient * factor + centred * slopes + offsets);
      }
    }
  }
}

template <typename T>
void apply_any(const T* x, const T* shortcut, T* y, int64_t begin, int64_t end, int64_t channels, const Affine& norm, bool relu) {
  auto* chosen = shortcut ? (relu ? apply<T, true, true> : apply<T, true, false>) : (relu ? apply<T, false, true> : apply<T, false, false>);
  chosen(x, shortcut, y, begin, end, channels, norm);
}

template <typename T>
void reduce_any(const T* x, const T* y, const T* dy, const T* more, T* masked, int64_t begin, int64_t end, int64_t channels,
                const Affine& norm, bool relu, double* sum, double* product) {
  auto* chosen = more     ? (!relu ? reduce<T, false, false, true, true> : y ? reduce<T, true, true, true, true> : reduce<T, true, false, true, true>)
                 : masked ? reduce<T, true, true, true, false>
                 : !relu  ? reduce<T, false, false, false, false>
                 : y      ? reduce<T, true, true, false, false>
                          : reduce<T, true, false, false, false>;
  chosen(x, y, dy, more, masked, begin, end, channels, norm, sum, product);
}

template <typename T>
void input_gradient_any(const T* x, const T* y, const T* dy, T* dx, int64_t begin, int64_t end, int64_t channels, const Affine& norm,
                        bool relu, const float* slope, const float* offset) {
  auto* chosen = !relu ? input_gradient<T, false, false> : y ? input_gradient<T, true, true> : input_gradient<T, true, false>;
  chosen(x, y, dy, dx, begin, end, channels, norm, slope, offset);
}

template <typename T>
constexpr Kernels<T> all() {
  return {statistics<T>, apply_any<T>, reduce_any<T>, input_gradient_any<T>};
}

}  // namespace

extern const Kernels<float> KERNELS_NAME(float);
extern const Kernels<bfloat16> KERNELS_NAME(bfloat16);
const Kernels<float> KERNELS_NAME(float) = all<float>();
const Kernels<bfloat16> KERNELS_NAME(bfloat16) = all<bfloat16>();
