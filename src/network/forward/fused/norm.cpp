// Batch normalisation + shortcut addition + ReLU as one autograd function, on libtorch's threads. What it computes is what batch_norm, add
// and relu compute one after the other; the passes over memory are fewer: two forward (statistics, apply) and two backward.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <optional>
#include <vector>

#include "../../../system/guarded.h"
#include "../norm_arguments.h"
#include "kernels.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

#define DECLARE(name)                        \
  extern const Kernels<float> name##_float;  \
  extern const Kernels<bfloat16> name##_bfloat16;
DECLARE(kernels_base)
#ifdef __x86_64__
DECLARE(kernels_v3)
DECLARE(kernels_v4)
#endif

namespace {

// 0: what every CPU of this kind has, 3: AVX2 and FMA, 4: AVX-512.
int instruction_set() {
#ifdef __x86_64__
#define HAS(feature) static_cast<bool>(__builtin_cpu_supports(feature))
  static const bool avx2 = HAS("avx2") && HAS("fma") && HAS("bmi") && HAS("bmi2");
  static const bool avx512 = HAS("avx512f") && HAS("avx512bw") && HAS("avx512cd") && HAS("avx512dq") && HAS("avx512vl");
  return avx2 && avx512 ? 4 : avx2 ? 3 : 0;
#else
  return 0;
#endif
}

template <typename T>
const Kernels<T>& kernels();

#ifdef __x86_64__
#define CHOOSE(type) \
  instruction_set() == 4 ? kernels_v4_##type : instruction_set() == 3 ? kernels_v3_##type : kernels_base_##type
#else
#define CHOOSE(type) kernels_base_##type
#endif
template <>
const Kernels<float>& kernels<float>() { return CHOOSE(float); }
template <>
const Kernels<bfloat16>& kernels<bfloat16>() { return CHOOSE(bfloat16); }

// Rows that each thread works on: one contiguous part a thread, so that sums do not depend on who is first.
struct Split {
  int64_t rows, parts, each;
  explicit Split(int64_t rows)
      : rows(rows), parts(std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / 256))), each((rows + parts - 1) / parts) {}
  template <typename F>
  void run(const F& work) const {
    at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) work(part, part * each, std::min(rows, (part + 1) * each));
    });
  }
};

// Two sums a channel over all rows, added up in the order of the parts.
template <typename F>
std::vector<double> two_sums(const Split& split, int64_t channels, const F& work) {
  std::vector<double> parts(split.parts * 2 * channels, 0.0);
  split.run([&](int64_t part, int64_t begin, int64_t end) {
    double* sums = parts.data() + part * 2 * channels;
    work(begin, end, sums, sums + channels);
  });
  for (int64_t part = 1; part < split.parts; ++part)
    for (int64_t at = 0; at < 2 * channels; ++at) parts[at] += parts[part * 2 * channels + at];
  return parts;
}

struct Scaled {
  Tensor factor;
  Affine affine;
  Scaled(const Tensor& mean, const Tensor& inverse_deviation, const Tensor& gamma, const Tensor& beta)
      : factor(gamma * inverse_deviation), affine{data<float>(mean), data<float>(factor), data<float>(beta)} {}
};

template <typename T>
std::pair<Tensor, Tensor> batch_statistics(const Tensor& x, Tensor running_mean, Tensor running_variance, double momentum, double epsilon) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  Tensor mean = at::empty({channels}, x.options().dtype(at::kFloat)), inverse_deviation = at::empty_like(mean);
  // The first pixel as the origin: the variance is then no difference of two large numbers.
  const Tensor origin = x.select(0, 0).select(1, 0).select(1, 0).to(at::kFloat).contiguous();
  const std::vector<double> sums = two_sums(Split(rows), channels, [&](int64_t begin, int64_t end, double* sum, double* square) {
    kernels<T>().statistics(data<T>(x), begin, end, channels, data<float>(origin), sum, square);
  });
  for (int64_t c = 0; c < channels; ++c) {
    const double centre = sums[c] / rows;
    const double variance = std::max(0.0, sums[channels + c] / rows - centre * centre);
    const double value = centre + data<float>(origin)[c];
    data<float>(mean)[c] = value;
    // A maximum would turn NaN into 0.
    const double known = std::isfinite(sums[channels + c]) ? variance : sums[channels + c];
    data<float>(inverse_deviation)[c] = 1.0 / std::sqrt(known + epsilon);
    if (running_mean.defined()) {
      float& average = data<float>(running_mean)[c];
      float& spread = data<float>(running_variance)[c];
      average = (1.0 - momentum) * average + momentum * value;
      spread = (1.0 - momentum) * spread + momentum * known * rows / std::max<int64_t>(rows - 1, 1);
    }
  }
  return {mean, inverse_deviation};
}

template <typename T>
Tensor applied(const Tensor& x, const Tensor& shortcut, const Affine& affine, bool relu) {
  const int64_t channels = x.size(1);
  Tensor y = at::empty_like(x);
  Split(x.numel() / channels).run([&](int64_t, int64_t begin, int64_t end) {
    kernels<T>().apply(data<T>(x), data<T>(shortcut), data<T>(y), begin, end, channels, affine, relu);
  });
  return y;
}

// Gradients of (x, gamma, beta, shortcut).
template <typename T>
std::array<Tensor, 4> gradients(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& more, const Tensor& mean, const Tensor& inverse_deviation,
                                const Tensor& gamma, const Tensor& beta, bool relu, bool has_shortcut) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  const Scaled scaled(mean, inverse_deviation, gamma, beta);
  const Split split(rows);
  // Without ReLU the shortcut's gradient is dy itself.
  Tensor masked = (has_shortcut && relu) || more.defined() ? at::empty_like(x) : Tensor();
  const std::vector<double> sums = two_sums(split, channels, [&](int64_t begin, int64_t end, double* sum, double* product) {
    kernels<T>().reduce(data<T>(x), data<T>(y), data<T>(dy), data<T>(more), data<T>(masked), begin, end, channels, scaled.affine, relu, sum, product);
  });
  Tensor d_gamma = at::empty_like(gamma), d_beta = at::empty_like(beta), slope = at::empty_like(mean), offset = at::empty_like(mean);
  for (int64_t c = 0; c < channels; ++c) {
    const double factor = data<float>(scaled.factor)[c], inverse = data<float>(inverse_deviation)[c];
    data<float>(d_beta)[c] = sums[c];
    data<float>(d_gamma)[c] = sums[channels + c] * inverse;
    data<float>(slope)[c] = -factor * inverse * inverse * sums[channels + c] / rows;
    data<float>(offset)[c] = -factor * sums[c] / rows;
  }
  // Where the masked gradient was written, reading it is one pass less than masking again.
  const Tensor& source = masked.defined() ? masked : dy;
  const bool mask = relu && !masked.defined();
  Tensor dx = at::empty_like(x);
  split.run([&](int64_t, int64_t begin, int64_t end) {
    kernels<T>().input_gradient(data<T>(x), mask ? data<T>(y) : nullptr, data<T>(source), data<T>(dx), begin, end, channels, scaled.affine,
                                mask, data<float>(slope), data<float>(offset));
  });
  return {dx, d_gamma, d_beta, has_shortcut ? (masked.defined() ? masked : dy) : Tensor()};
}

#define BY_KIND(tensor, call) ((tensor).scalar_type() == at::kBFloat16 ? call(bfloat16) : call(float))

struct FusedNorm : torch::autograd::Function<FusedNorm> {
  // The running statistics, if any, are updated in place, outside autograd.
  // The output twice: the next convolution takes one, the next shortcut the other, and their gradients are added here, in the pass that is
  // made anyway.
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& gamma, const Tensor& beta, MaybeTensor running_mean,
                        MaybeTensor running_variance, MaybeTensor maybe_shortcut, bool relu, double momentum, double epsilon) {
    const Tensor shortcut = maybe_shortcut.value_or(Tensor());
#define STATISTICS(T) batch_statistics<T>(x, running_mean.value_or(Tensor()), running_variance.value_or(Tensor()), momentum, epsilon)
    auto [mean, inverse_deviation] = BY_KIND(x, STATISTICS);
    const Scaled scaled(mean, inverse_deviation, gamma, beta);
#define APPLIED(T) applied<T>(x, shortcut, scaled.affine, relu)
    Tensor y = BY_KIND(x, APPLIED);
    // The output is needed only for the sign of a sum; else that follows from x.
    context->save_for_backward({x, gamma, beta, mean, inverse_deviation, shortcut.defined() && relu ? y : Tensor()});
    context->saved_data["relu"] = relu;
    context->saved_data["shortcut"] = shortcut.defined();
    context->set_materialize_grads(false);
    // Not a view, which autograd would follow: another tensor on the same memory.
    Tensor again = at::empty({0}, y.options()).set_(y.storage(), y.storage_offset(), y.sizes(), y.strides());
    return {y, again};
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    const variable_list saved = context->get_saved_variables();
    const bool relu = context->saved_data["relu"].toBool(), has_shortcut = context->saved_data["shortcut"].toBool();
    const bool both = outputs[0].defined() && outputs[1].defined();
    const Tensor dy = channels_last(outputs[0].defined() ? outputs[0] : outputs[1]);
    const Tensor more = both ? channels_last(outputs[1]) : Tensor();
#define GRADIENTS(T) gradients<T>(saved[0], saved[5], dy, more, saved[3], saved[4], saved[1], saved[2], relu, has_shortcut)
    auto [dx, d_gamma, d_beta, d_shortcut] = BY_KIND(saved[0], GRADIENTS);
    return {dx, d_gamma, d_beta, Tensor(), Tensor(), d_shortcut, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

// Whether results must repeat exactly, whether float32 convolutions may round their inputs to TF32, whether cuDNN tries out algorithms.
void resnet_settings(bool deterministic, bool tf32) noexcept {
  auto& context = at::globalContext();
  context.setDeterministicCuDNN(deterministic);
  context.setBenchmarkCuDNN(!deterministic);
  context.setAllowTF32CuDNN(tf32);
  context.setAllowTF32CuBLAS(tf32);
}

// Copies without waiting for the device, which the source's memory must be page-locked for.
bool resnet_copy_ahead(void* target, void* source) noexcept {
  return done([&] {
    Tensor into = tensor(target);
    at::NoGradGuard no_gradient;
    into.copy_(tensor(source), true);
  });
}

const char* resnet_norm_error() { return last_error.c_str(); }

int resnet_norm_instruction_set() { return instruction_set(); }

// Arguments are pointers to at::Tensor, null for none; the results are new at::Tensors on the same memory, one for each consumer, or null with
// resnet_norm_error set. In training mode the statistics are the batch's, and the running ones are updated if given; else the running ones are used.
bool resnet_norm(void** results, void* x, void* gamma, void* beta, void* running_mean, void* running_variance, void* shortcut, bool relu, bool training,
                  double momentum, double epsilon) {
  return done([&] {
    const NormArguments given(x, gamma, beta, shortcut);
    const Tensor mean = tensor(running_mean), variance = tensor(running_variance);
    if (training) {
      const variable_list outputs =
          FusedNorm::apply(given.maps, given.scale, given.shift, maybe(mean), maybe(variance), maybe(given.added), relu, momentum, epsilon);
      results[0] = new Tensor(outputs[0]);
      results[1] = new Tensor(outputs[1]);
      return;
    }
    // The kernels get pointers into both.
    const Tensor centre = mean.contiguous(), inverse_deviation = (variance + epsilon).rsqrt();
    const Scaled scaled(centre, inverse_deviation, given.scale, given.shift);
#define EVALUATED(T) applied<T>(given.maps, given.added, scaled.affine, relu)
    const Tensor output = BY_KIND(given.maps, EVALUATED);
    results[0] = new Tensor(output);
    results[1] = new Tensor(output);
  });
}

}  // extern "C"
