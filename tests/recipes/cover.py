"""Which recipe names to train where there is time for few of them.

A name has a model, a method and a task. Names are the edges of a graph whose vertices are models and tasks, so the fewest names that
touch every model and every task are a minimum edge cover: a maximum matching, and one more name for each vertex that it leaves
out (Gallai 1959). Sources follow from tasks. Where a model and a task have several methods, the one that is taken is one that is
not there yet; a method that no edge of the cover has costs a name more.
"""

from typing import NamedTuple


class Name(NamedTuple):
    name: str
    model: str
    method: str
    task: str


def cover(names):
    """The names to train, sorted. The same for the same names, in whatever order they are given."""
    names = sorted(names)
    edges = {(name.model, name.task) for name in names}
    taken = list(matching(edges).items())
    for side in (0, 1):
        touched = {edge[side] for edge in taken}
        for edge in sorted(edges):
            if edge[side] not in touched:
                touched.add(edge[side])
                taken.append(edge)
    return with_methods(names, taken)


def matching(edges):
    """A maximum matching, task by model, by augmenting paths."""
    tasks = {}
    for model, task in sorted(edges):
        tasks.setdefault(model, []).append(task)
    model_of = {}

    def take(model, seen):
        for task in tasks[model]:
            if task in seen:
                continue
            seen.add(task)
            if task not in model_of or take(model_of[task], seen):
                model_of[task] = model
                return True
        return False

    for model in sorted(tasks):
        take(model, set())
    return {model: task for task, model in model_of.items()}


def with_methods(names, taken):
    """A name for each edge, of a method that is wanted most; one name more for each method that none has."""
    choices = {edge: [name for name in names if (name.model, name.task) == edge] for edge in taken}
    missing = {name.method for name in names}
    chosen = []
    # Edges of one name first: what they bring need not be chosen elsewhere.
    for edge in sorted(taken, key=lambda edge: (len(choices[edge]), edge)):
        name = next((name for name in choices[edge] if name.method in missing), choices[edge][0])
        missing.discard(name.method)
        chosen.append(name)
    for method in sorted(missing):
        chosen.append(next(name for name in names if name.method == method))
    return sorted(chosen)
