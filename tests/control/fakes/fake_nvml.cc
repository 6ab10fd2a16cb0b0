// A library with NVML's names: one whole card, and one in MIG mode with two slices; with FAKE_NVML_CARDS=n, n whole
// cards, at most 8; with FAKE_NVML_CARDS=slices, the second one alone. FAKE_NVML_TROUBLE=lost: the second card does not answer;
// old_card: the first has compute capability 6.1; old_driver: the driver knows CUDA 12.4.
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};

// Handles: 1 and 2 are cards, 21 and 22 are slices of the second.
static void* Handle(long number) { return reinterpret_cast<void*>(number); }
static long Number(void* handle) { return reinterpret_cast<long>(handle); }

static const char* Cards() {
  const char* cards = std::getenv("FAKE_NVML_CARDS");
  return cards == nullptr ? "" : cards;
}
// 0 unless it was asked for.
static unsigned WholeCards() { return static_cast<unsigned>(std::atoi(Cards())); }
static bool OnlySlices() { return std::strcmp(Cards(), "slices") == 0; }

static bool HasTrouble(const char* name) {
  const char* trouble = std::getenv("FAKE_NVML_TROUBLE");
  return trouble != nullptr && std::strcmp(trouble, name) == 0;
}

int nvmlInit_v2() { return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = HasTrouble("old_driver") ? 12040 : 13000;
  return 0;
}
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = WholeCards() > 0 ? WholeCards() : OnlySlices() ? 1 : 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index == 1 && HasTrouble("lost")) return 15;  // NVML_ERROR_GPU_IS_LOST
  *device = Handle(OnlySlices() ? 2 : index + 1);
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  const long number = Number(device);
  std::snprintf(uuid, length, number < 10 ? "GPU-%ld" : "MIG-%ld", number);
  return 0;
}
int nvmlDeviceGetName(void*, char* name, unsigned length) {
  std::strncpy(name, "Fake A100", length);
  return 0;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  const bool slice = Number(device) > 10;
  *memory = {slice ? 10ull << 30 : 40ull << 30, slice ? 9ull << 30 : 39ull << 30, 1ull << 30};
  return 0;
}
struct Utilization {
  unsigned gpu, memory;
};
int nvmlDeviceGetUtilizationRates(void* device, Utilization* utilization) {
  *utilization = {Number(device) == 1 ? 87u : 0u, 40};
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) {
  *celsius = 61;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 254500;
  return 0;
}
int nvmlDeviceGetTotalEccErrors(void* device, int kind, int since, unsigned long long* errors) {
  if (Number(device) == 2) return 3;  // NVML_ERROR_NOT_SUPPORTED
  *errors = kind == 1 && since == 0 ? 2 : 1000;
  return 0;
}
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  const bool old = Number(device) == 1 && HasTrouble("old_card");
  *major = old ? 6 : 8;
  *minor = old ? 1 : 0;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  *count = Number(device) == 2 && WholeCards() == 0 ? 7 : 0;
  return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** device) {
  if (index > 1) return 6;  // NVML_ERROR_NOT_FOUND
  *device = Handle(21 + index);
  return 0;
}
}
