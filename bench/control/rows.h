// The rows of control_bench. Each prints {"name": ..., "value": ...} lines through Print().
#pragma once

#include <string>

namespace ft::bench {

void Print(const std::string& name, double value);

// On the state and the store alone: submits a second and seconds to load with so many jobs in the store, a pass over many
// waiting jobs.
void MeasureStore(int jobs);
void MeasurePass(int waiting, int nodes);

// On the program `finetuned` over its sockets: processor time and bytes written while many jobs send records; delivery to watches.
void MeasureProgress(const std::string& finetuned);
void MeasureWatches(const std::string& finetuned);

}  // namespace ft::bench
