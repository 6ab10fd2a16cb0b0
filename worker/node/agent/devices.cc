#include "worker/node/agent/devices.h"

#include <dlfcn.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>

#include "core/gpu/support.h"
#include "core/process/proc.h"

namespace ft::agent {
namespace {

using finetune::v1::Device;

// The part of NVML's C interface that is used; layouts are those of its public header.
using NvmlDevice = void*;
struct NvmlMemory {
  unsigned long long total, free, used;
};
struct NvmlUtilization {
  unsigned gpu, memory;  // Percent.
};
constexpr int kNvmlSuccess = 0;
constexpr int kTemperatureOfTheChip = 0;
constexpr int kUncorrected = 1, kSinceLoaded = 0;  // NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC.
constexpr unsigned kUuidBytes = 96;
constexpr unsigned kNameBytes = 96;

class Nvml : public DeviceSource {
 public:
  ~Nvml() override {
    if (shutdown_ != nullptr) shutdown_();
    if (library_ != nullptr) ::dlclose(library_);
  }

  Status Open(const std::string& name) {
    library_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) return absl::NotFoundError(StrCat(name, " is not installed"));
    int (*init)() = nullptr;
    const bool all = Load("nvmlInit_v2", init) && Load("nvmlShutdown", shutdown_) &&
                     Load("nvmlDeviceGetCount_v2", count_) &&
                     Load("nvmlDeviceGetHandleByIndex_v2", by_index_) && Load("nvmlDeviceGetUUID", uuid_) &&
                     Load("nvmlDeviceGetName", name_) && Load("nvmlDeviceGetMemoryInfo", memory_) &&
                     Load("nvmlDeviceGetCudaComputeCapability", capability_);
    if (!all) {
      shutdown_ = nullptr;
      return absl::NotFoundError(StrCat(name, " lacks functions this program needs"));
    }
    Load("nvmlSystemGetCudaDriverVersion_v2", driver_cuda_);
    // Older drivers know no MIG.
    Load("nvmlDeviceGetMaxMigDeviceCount", mig_count_);
    Load("nvmlDeviceGetMigDeviceHandleByIndex", mig_by_index_);
    // What a card tells of itself is good to know and no more.
    Load("nvmlDeviceGetUtilizationRates", utilization_);
    Load("nvmlDeviceGetTemperature", temperature_);
    Load("nvmlDeviceGetPowerUsage", power_);
    Load("nvmlDeviceGetTotalEccErrors", ecc_errors_);
    if (init() != kNvmlSuccess) {
      shutdown_ = nullptr;
      return absl::NotFoundError(StrCat(name, " finds no driver"));
    }
    return absl::OkStatus();
  }

  StatusOr<std::vector<Device>> List() override {
    unsigned count = 0;
    if (count_(&count) != kNvmlSuccess) return absl::UnavailableError("NVML cannot count devices");
    std::vector<Device> devices;
    for (unsigned i = 0; i < count; ++i) {
      NvmlDevice card = nullptr;
      if (by_index_(i, &card) != kNvmlSuccess) {
        devices.push_back(LostCard(i));
        continue;
      }
      std::vector<Device> slices = Slices(card);
      if (slices.empty()) {
        slices.push_back(Describe(card, card, "gpu"));
      }
      devices.insert(devices.end(), slices.begin(), slices.end());
    }
    return devices;
  }

  std::vector<CardReading> Read() override {
    unsigned count = 0;
    if (count_(&count) != kNvmlSuccess) return {};
    std::vector<CardReading> readings;
    for (unsigned i = 0; i < count; ++i) {
      NvmlDevice card = nullptr;
      if (by_index_(i, &card) == kNvmlSuccess) readings.push_back(ReadCard(card));
    }
    return readings;
  }

 private:
  CardReading ReadCard(NvmlDevice card) {
    const Device device = Describe(card, card, "gpu");
    CardReading reading{.uuid = device.uuid(), .model = device.model()};
    NvmlMemory memory{};
    if (memory_(card, &memory) == kNvmlSuccess) {
      reading.memory_used_bytes = static_cast<int64_t>(memory.used);
      reading.memory_bytes = static_cast<int64_t>(memory.total);
    }
    NvmlUtilization utilization{};
    if (utilization_ != nullptr && utilization_(card, &utilization) == kNvmlSuccess)
      reading.utilization = utilization.gpu / 100.0;
    unsigned number = 0;
    if (temperature_ != nullptr && temperature_(card, kTemperatureOfTheChip, &number) == kNvmlSuccess)
      reading.temperature_celsius = number;
    if (power_ != nullptr && power_(card, &number) == kNvmlSuccess) reading.power_watts = number / 1000.0;
    unsigned long long errors = 0;
    if (ecc_errors_ != nullptr && ecc_errors_(card, kUncorrected, kSinceLoaded, &errors) == kNvmlSuccess)
      reading.uncorrected_ecc_errors = static_cast<int64_t>(errors);
    return reading;
  }

  template <typename F>
  bool Load(const char* name, F& function) {
    function = reinterpret_cast<F>(::dlsym(library_, name));
    return function != nullptr;
  }

  // A card in MIG mode offers its slices and not itself.
  std::vector<Device> Slices(NvmlDevice card) {
    std::vector<Device> slices;
    unsigned count = 0;
    if (mig_count_ == nullptr || mig_by_index_ == nullptr || mig_count_(card, &count) != kNvmlSuccess)
      return slices;
    for (unsigned i = 0; i < count; ++i) {
      NvmlDevice slice = nullptr;
      if (mig_by_index_(card, i, &slice) == kNvmlSuccess) slices.push_back(Describe(slice, card, "mig"));
    }
    return slices;
  }

  // The others still work.
  static Device LostCard(unsigned index) {
    Device device;
    device.set_kind("gpu");
    device.set_uuid(StrCat("card ", index));
    device.set_problem("does not answer: it may have fallen off the bus, dmesg has a line with Xid then");
    return device;
  }

  // Why ranks of this build could do nothing with it; empty when they can.
  std::string ProblemOf(int major, int minor) {
    int driver = 0;
    if (driver_cuda_ != nullptr && driver_cuda_(&driver) == kNvmlSuccess && driver < kOldestCudaOfDriver) {
      return StrCat("needs the NVIDIA driver ", kOldestDriverBranch,
                    " or newer, the installed one knows CUDA ", driver / 1000, ".", driver % 1000 / 10,
                    ": update the driver");
    }
    if (IsSupportedCapability(major, minor)) return "";
    return StrCat("has compute capability ", major, ".", minor,
                  ", 7.5 or newer is needed (Turing: T4, RTX 20)");
  }

  Device Describe(NvmlDevice handle, NvmlDevice card, const char* kind) {
    Device device;
    device.set_kind(kind);
    char text[kUuidBytes] = {};
    if (uuid_(handle, text, kUuidBytes) == kNvmlSuccess) device.set_uuid(text);
    char name[kNameBytes] = {};
    if (name_(card, name, kNameBytes) == kNvmlSuccess) device.set_model(name);
    NvmlMemory memory{};
    if (memory_(handle, &memory) == kNvmlSuccess) {
      device.set_total_memory_bytes(static_cast<int64_t>(memory.total));
      device.set_free_memory_bytes(static_cast<int64_t>(memory.free));
    }
    int major = 0, minor = 0;
    if (capability_(card, &major, &minor) == kNvmlSuccess) {
      device.set_arch(StrCat(major, ".", minor));
      device.set_problem(ProblemOf(major, minor));
    }
    return device;
  }

  void* library_ = nullptr;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*by_index_)(unsigned, NvmlDevice*) = nullptr;
  int (*uuid_)(NvmlDevice, char*, unsigned) = nullptr;
  int (*name_)(NvmlDevice, char*, unsigned) = nullptr;
  int (*memory_)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*capability_)(NvmlDevice, int*, int*) = nullptr;
  int (*mig_count_)(NvmlDevice, unsigned*) = nullptr;
  int (*mig_by_index_)(NvmlDevice, unsigned, NvmlDevice*) = nullptr;
  int (*driver_cuda_)(int*) = nullptr;
  int (*utilization_)(NvmlDevice, NvmlUtilization*) = nullptr;
  int (*temperature_)(NvmlDevice, int sensor, unsigned* celsius) = nullptr;
  int (*power_)(NvmlDevice, unsigned* milliwatts) = nullptr;
  int (*ecc_errors_)(NvmlDevice, int kind, int since, unsigned long long*) = nullptr;
};

// Value of a /proc/meminfo line in bytes.
int64_t MemInfo(const std::string& text, const std::string& key) {
  const size_t at = text.find(key + ":");
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + key.size() + 1) * 1024;
}

std::string CpuModel() {
  const std::string text = process::ReadProc("/proc/cpuinfo");
  const size_t at = text.find("model name");
  const size_t colon = at == std::string::npos ? at : text.find(": ", at);
  if (colon == std::string::npos) return "cpu";
  return text.substr(colon + 2, text.find('\n', colon) - colon - 2);
}

// What a CPU's arithmetic depends on (worker/rank/settings.h): the widest vector level, by the names that people know, and
// whether it multiplies bf16.
std::string CpuArch() {
  if (__builtin_cpu_supports("avx512bf16")) return "avx512+bf16";
  if (__builtin_cpu_supports("avx512f")) return "avx512";
  if (__builtin_cpu_supports("avx2")) return "avx2";
  return "sse";
}

}  // namespace

StatusOr<std::unique_ptr<DeviceSource>> OpenNvml(const std::string& library) {
  auto nvml = std::make_unique<Nvml>();
  RETURN_IF_ERROR(nvml->Open(library));
  return StatusOr<std::unique_ptr<DeviceSource>>(std::move(nvml));
}

Device CpuDevice(const std::string& node_id, int64_t cores) {
  Device device;
  device.set_uuid("cpu-" + node_id);
  device.set_kind("cpu");
  device.set_arch(CpuArch());
  device.set_model(CpuModel());
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const int usable = ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  device.set_cores(static_cast<int32_t>(cores > 0 ? cores : usable));
  const std::string text = process::ReadProc("/proc/meminfo");
  device.set_total_memory_bytes(MemInfo(text, "MemTotal"));
  device.set_free_memory_bytes(MemInfo(text, "MemAvailable"));
  return device;
}

}  // namespace ft::agent
