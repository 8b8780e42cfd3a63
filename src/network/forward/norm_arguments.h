// What a batch normalisation is given from Rust, as pointers to at::Tensor or null: checked, since kernels read raw memory.
#pragma once
#include <ATen/ATen.h>

#include <optional>

namespace {

using MaybeTensor = std::optional<at::Tensor>;

inline at::Tensor channels_last(const at::Tensor& tensor) { return tensor.contiguous(at::MemoryFormat::ChannelsLast); }
inline at::Tensor tensor(void* pointer) { return pointer ? *static_cast<at::Tensor*>(pointer) : at::Tensor(); }
inline MaybeTensor maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : std::nullopt; }

template <typename T>
T* data(const at::Tensor& tensor) { return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr; }

struct NormArguments {
  at::Tensor maps, scale, shift, added;
  NormArguments(void* x, void* gamma, void* beta, void* shortcut)
      : maps(channels_last(tensor(x))), scale(tensor(gamma).contiguous()), shift(tensor(beta).contiguous()), added(tensor(shortcut)) {
    if (added.defined()) added = channels_last(added);
    const auto is_vector = [&](const at::Tensor& vector) { return vector.scalar_type() == at::kFloat && vector.numel() == maps.size(1); };
    TORCH_CHECK(is_vector(scale) && is_vector(shift), "scale and shift must be float32, one a channel");
    TORCH_CHECK(!added.defined() || (added.sizes() == maps.sizes() && added.scalar_type() == maps.scalar_type()), "the shortcut differs in shape or kind");
  }
};

}  // namespace
