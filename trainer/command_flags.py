"""The flags that there are, each with its one line of help; imports nothing heavy.

Which command looks at which stands in `command_table.py`.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_multi_string(
    'gin_file', [], 'A config; repeatable, later files win.', flag_values=FLAGS
)
flags.DEFINE_multi_string(
    'gin_bindings',
    [],
    "Overrides such as 'EPOCHS = 5'; repeatable, later ones win. "
    '--gin.ResNet.depth=50 is short for --gin_bindings="ResNet.depth = 50".',
    flag_values=FLAGS,
)
flags.DEFINE_multi_string(
    'gin_imports',
    [],
    'A package that gin files may import, and no other; repeatable. Default: any.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'workdir',
    None,
    'The run directory, or an address (gs://BUCKET/RUN); the same one again goes on. '
    'Default: runs/<name>_<time>.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'resume',
    None,
    'Go on with the newest run that matches a path or glob.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'name', None, 'Overrides Experiment.name: the run directory.', flag_values=FLAGS
)
flags.DEFINE_string(
    'split',
    'test',
    'train, eval, test, or a name in Experiment.evaluations.',
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    'restarts',
    0,
    'So often the run is started again when it is killed or hangs.',
    0,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'coordinator',
    None,
    'HOST:PORT of process 0 of several (docs/tpu.md); the next port is used as well. '
    'Default: as Slurm, Open MPI, GKE or a TPU say.',
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    'process_id', None, 'Which of several processes this is.', 0, flag_values=FLAGS
)
flags.DEFINE_integer(
    'num_processes', None, 'How many processes there are.', 1, flag_values=FLAGS
)
flags.DEFINE_float(
    'join_seconds',
    300,
    'How long several processes wait for each other at the start.',
    0,
    flag_values=FLAGS,
)
flags.DEFINE_string('checkpoint', 'best', 'best, last or a step.', flag_values=FLAGS)
flags.DEFINE_integer(
    'top', 5, 'How many classes, the likeliest first.', 1, flag_values=FLAGS
)
flags.DEFINE_string(
    'format',
    None,
    'What is written. Default: as the file in --out is called, else jsonl; coco is '
    'the list of results that COCO tools read.',
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    'naming',
    'torchvision',
    ['torchvision', 'timm'],
    'Whose names the weights get.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'out', None, 'The file (data, profile: folder) to write.', flag_values=FLAGS
)
flags.DEFINE_boolean(
    'features',
    False,
    "The backbone's maps instead, in features.npz or the .npz of --out.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'masks', None, 'A folder for a PNG of classes for each image.', flag_values=FLAGS
)
flags.DEFINE_string(
    'overlays', None, 'A folder for pictures of what is found.', flag_values=FLAGS
)
flags.DEFINE_string(
    'annotations',
    None,
    'The COCO .json whose image ids the results get (--format=coco).',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'metric',
    None,
    'By which runs are ranked, such as test/acc_top1.',
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    'flops',
    True,
    'What one image of 224x224 costs; --noflops leaves it out, and is quicker.',
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    'profile',
    False,
    'Also the memory of a forward and of a training step; compiles each model.',
    flag_values=FLAGS,
)
flags.DEFINE_integer('batch', 1, 'Images of a profile.', 1, flag_values=FLAGS)
flags.DEFINE_boolean(
    'rehearse',
    False,
    "Also live through the run's parts, in seconds.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    'memory',
    False,
    'Also what a step takes, and the largest batch that fits.',
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    'verify', False, 'Also read and check every array.', flag_values=FLAGS
)
flags.DEFINE_boolean('json', False, 'JSON, not a table.', flag_values=FLAGS)
flags.DEFINE_boolean(
    'debug', False, 'Show full tracebacks on the screen.', flag_values=FLAGS
)
flags.DEFINE_boolean(
    'help', False, 'Show this text.', short_name='h', flag_values=FLAGS
)
flags.DEFINE_string(
    'version',
    None,
    'Alone: show the version. Of publish: the version, such as 1.0.0.',
    flag_values=FLAGS,
)
flags.DEFINE_string('as', None, 'The name to publish under.', flag_values=FLAGS)
flags.DEFINE_string('note', '', 'One line on what is published.', flag_values=FLAGS)
flags.DEFINE_string(
    'licence', '', 'Of the data that was learnt from.', flag_values=FLAGS
)
flags.DEFINE_string(
    'model',
    None,
    'A published model in place of a run: NAME, NAME@1.0.0, NAME@latest or NAME@^1.',
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    'published', False, 'The published models instead.', flag_values=FLAGS
)
flags.DEFINE_string(
    'registry',
    None,
    'Where published models are. Default: $JUNIPER_REGISTRY, else registry.',
    flag_values=FLAGS,
)
