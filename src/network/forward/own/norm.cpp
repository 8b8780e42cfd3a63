// Batch normalisation + shortcut addition + ReLU as one autograd function by the project's own kernels (src/kernels/norm.cu), for bfloat16 maps
// on a GPU, or in tests on the emulator.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "../../../kernels/parameters.h"
#include "../../../system/guarded.h"
#include "../norm_arguments.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

extern "C" {
// Hands a kernel to a device, -1 being the emulator; null, or what went wrong.
typedef const char* (*resnet_launcher)(int kernel, int blocks, const void* parameter, int device);
}

namespace {

resnet_launcher launcher = nullptr;

constexpr int THREADS = 256;
// As many as fit on a large GPU at a time; the same on every GPU, since they decide the order of summation.
constexpr int64_t BLOCKS = 264;

enum Kernel { STATISTICS, APPLY, SUMS, INPUT_GRADIENT };

void launch(Kernel kernel, int64_t blocks, const Norm& norm, const Tensor& maps) {
  const char* failure = launcher(kernel, static_cast<int>(blocks), &norm, maps.is_cuda() ? maps.get_device() : -1);
  if (failure) throw std::runtime_error(failure);
}

Words* words(const Tensor& tensor) { return data<Words>(tensor); }

// One a device and thread, 0 between kernels, which are done one after the other. It is made before any step is captured, and never freed: threads
// end after CUDA does.
u32* counter_of(const Tensor& maps) {
  thread_local auto& counters = *new std::map<int, Tensor>;
  Tensor& counter = counters[maps.is_cuda() ? maps.get_device() : -1];
  if (!counter.defined()) counter = at::zeros({1}, maps.options().dtype(at::kInt));
  return data<u32>(counter);
}

// Blocks for maps of so many pixels: each thread has at least four of them.
int64_t blocks_of(const Tensor& maps) {
  const int64_t groups = maps.size(1) / 8, slots = std::max<int64_t>(THREADS / groups, 1), rows = maps.numel() / maps.size(1);
  return std::max<int64_t>(1, std::min(BLOCKS, (rows + slots * 4 - 1) / (slots * 4)));
}

// Mean, inverse deviation, factor, slope, offset of the batch: [5, channels].
NormState state_of(const Tensor& maps, const Tensor& gamma, const Tensor& beta, const Tensor& statistics, const Tensor& partial, double momentum,
                   double epsilon) {
  NormState state{};
  const int64_t channels = maps.size(1);
  float* row = data<float>(statistics);
  state.gamma = data<float>(gamma);
  state.beta = data<float>(beta);
  for (float** to : {&state.mean, &state.inverse, &state.factor, &state.slope, &state.offset}) {
    *to = row;
    row += channels;
  }
  state.partial = data<float>(partial);
  state.counter = counter_of(maps);
  state.rows = static_cast<int>(maps.numel() / channels);
  state.channels = static_cast<int>(channels);
  state.momentum = static_cast<float>(momentum);
  state.epsilon = static_cast<float>(epsilon);
  return state;
}
Tensor partial_of(const Tensor& maps) { return at::empty({blocks_of(maps), 2, maps.size(1)}, maps.options().dtype(at::kFloat)); }

struct OwnNorm : torch::autograd::Function<OwnNorm> {
  // The output twice, for two consumers, whose gradients are added in the pass that is made anyway (../fused/norm.cpp does the same).
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& gamma, const Tensor& beta, MaybeTensor running_mean,
                               MaybeTensor running_variance, MaybeTensor maybe_shortcut, bool relu, double momentum, double epsilon) {
    const Tensor shortcut = maybe_shortcut.value_or(Tensor()), partial = partial_of(x);
    const Tensor statistics = at::empty({5, x.size(1)}, x.options().dtype(at::kFloat));
    const Tensor y = at::empty_like(x);
    Norm norm{};
    norm.state = state_of(x, gamma, beta, statistics, partial, momentum, epsilon);
    norm.state.running_mean = data<float>(running_mean.value_or(Tensor()));
    norm.state.running_variance = data<float>(running_variance.value_or(Tensor()));
    norm.x = words(x);
    norm.shortcut = words(shortcut);
    norm.y = words(y);
    norm.relu = relu;
    launch(STATISTICS, blocks_of(x), norm, x);
    launch(APPLY, blocks_of(x), norm, x);
    // The output is needed only for the sign of a sum; else that follows from x.
    context->save_for_backward({x, gamma, beta, statistics, shortcut.defined() && relu ? y : Tensor()});
    context->saved_data["relu"] = relu;
    context->saved_data["shortcut"] = shortcut.defined();
    context->saved_data["epsilon"] = epsilon;
    context->set_materialize_grads(false);
    // Not a view, which autograd would follow: another tensor on the same memory.
    Tensor again = at::empty({0}, y.options()).set_(y.storage(), y.storage_offset(), y.sizes(), y.strides());
    return {y, again};
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &gamma = saved[1], &beta = saved[2];
    const bool relu = context->saved_data["relu"].toBool(), has_shortcut = context->saved_data["shortcut"].toBool();
    const bool both = outputs[0].defined() && outputs[1].defined();
    const Tensor dy = channels_last(outputs[0].defined() ? outputs[0] : outputs[1]);
    const Tensor more = both ? channels_last(outputs[1]) : Tensor();
    // Without ReLU the shortcut's gradient is dy itself.
    const Tensor masked = (has_shortcut && relu) || both ? at::empty_like(x) : Tensor();
    const Tensor partial = partial_of(x), dx = at::empty_like(x), d_gamma = at::empty_like(gamma), d_beta = at::empty_like(beta);
    Norm norm{};
    norm.state = state_of(x, gamma, beta, saved[3], partial, 0, context->saved_data["epsilon"].toDouble());
    norm.state.d_gamma = data<float>(d_gamma);
    norm.state.d_beta = data<float>(d_beta);
    norm.x = words(x);
    norm.sign = words(saved[4]);
    norm.dy = words(dy);
    norm.more = words(more);
    norm.masked = words(masked);
    norm.dx = words(dx);
    norm.relu = relu;
    launch(SUMS, blocks_of(x), norm, x);
    launch(INPUT_GRADIENT, blocks_of(x), norm, x);
    const Tensor d_shortcut = !has_shortcut ? Tensor() : masked.defined() ? masked : dy;
    return {dx, d_gamma, d_beta, Tensor(), Tensor(), d_shortcut, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

void resnet_own_norm_launcher(resnet_launcher given) { launcher = given; }

const char* resnet_own_norm_error() { return last_error.c_str(); }

// As resnet_norm in training mode. x: bfloat16 [images, channels, height, width], channels divisible by 8.
bool resnet_own_norm(void** results, void* x, void* gamma, void* beta, void* running_mean, void* running_variance, void* shortcut, bool relu,
                     double momentum, double epsilon) {
  return done([&] {
    const NormArguments given(x, gamma, beta, shortcut);
    const variable_list outputs = OwnNorm::apply(given.maps, given.scale, given.shift, maybe(tensor(running_mean)), maybe(tensor(running_variance)),
                                                 maybe(given.added), relu, momentum, epsilon);
    results[0] = new Tensor(outputs[0]);
    results[1] = new Tensor(outputs[1]);
  });
}

}  // extern "C"
