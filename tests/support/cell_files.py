"""Sources of cells that tests write to files."""

LEAKY_CELL = '''
import zoo


class Mine(zoo.Cell):
    """A leaky unit."""

    leak = zoo.Option(0.9, low=0.0, help="leak")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W) + self.leak * h
'''
