#include "core/plan/card_report.h"

#include "absl/strings/str_format.h"
#include "core/base/str_cat.h"
#include "core/plan/device_memory.h"
#include "core/plan/smaller.h"

namespace ft::plan {
namespace {

std::string Gigabytes(int64_t bytes) { return absl::StrFormat("%.2f GB", static_cast<double>(bytes) / 1e9); }

}  // namespace

CardReport ReportOf(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, const DataSize& data,
                    const Card& card) {
  CardReport report{.card = card, .beside = BytesBesideDevice(shape, spec, bf16)};
  for (MemoryPart& part : EstimateDeviceMemory(shape, spec, bf16, data, card)) {
    report.total += part.bytes;
    if (part.bytes > 0) report.parts.push_back(std::move(part));
  }
  if (!report.fits()) report.change = SmallestChange(shape, spec, bf16, data, card.usable_bytes, card);
  return report;
}

std::string ToText(const CardReport& report) {
  std::string text = "Memory of a rank's card when it holds most, predicted, in GB of 1e9 bytes:\n";
  for (const MemoryPart& part : report.parts)
    absl::StrAppendFormat(&text, "  %10s  %s\n", Gigabytes(part.bytes), part.name);
  absl::StrAppendFormat(&text, "  %10s  in all\n", Gigabytes(report.total));
  for (const auto& [bytes, place] :
       {std::pair{report.beside.host, "its host's memory"}, {report.beside.disk, "files on its node"}}) {
    if (bytes > 0) absl::StrAppendFormat(&text, "  %10s  beside it, in %s\n", Gigabytes(bytes), place);
  }
  if (report.card.usable_bytes == 0) return text;
  const std::string of = StrCat(Gigabytes(report.total), " of the ", Gigabytes(report.card.usable_bytes),
                                " that can be used of ", report.card.name);
  if (report.fits()) return StrCat(text, "It fits: ", of, "\n");
  StrAppend(&text, "It does not fit: ", of, "\n");
  if (report.change.empty())
    return StrCat(text, "No setting makes it fit: take a larger card or a smaller model\n");
  return StrCat(text, "Smallest change that fits: ", report.change, "\n");
}

}  // namespace ft::plan
