# ruff: noqa: E501 - one sentence a line, so that both languages can be read side by side
"""Chinese for the sentences that come from the data and the fit: notes, reasons, findings.

Each pair is the English sentence with ``{}`` where something is filled in, and the Chinese one, where ``{0}``, ``{1}``
are those fillings in their order and ``{n}`` is the count of a note. The English one is the truth: it stands in the
model file and in ``metrics.json``; what has no pair here is shown as it is.
"""

from __future__ import annotations

SENTENCES: tuple[tuple[str, str], ...] = (
    # columns and cells
    ("{} column is not used: {}", "有 {0} 列未使用：{1}"),
    ("{} columns are not used: {}", "有 {0} 列未使用：{1}"),
    ("an index of a data frame is no column and was left unread", "数据框的索引不是列，没有读取"),
    ("cells of categories {} in training count as \"other\": {}", "{n} 个单元格的取值在训练中没有或很少出现，归入“其他”：{1}"),
    ("missing in the fit part, counted as half true", "拟合部分有 {n} 个缺失，算作一半为真"),
    ("missing in the fit part, filled with the median {} and flagged", "拟合部分有 {n} 个缺失，用中位数 {0} 填补并加标记"),
    ("missing in the fit part, filled with the median {}", "拟合部分有 {n} 个缺失，用中位数 {0} 填补"),
    ("constant, left out: the only value is \"{}\"", "不变，未使用：唯一的取值是“{0}”"),
    ("constant, left out: it holds no value", "不变，未使用：没有任何取值"),
    ("constant: the only value is \"{}\"", "不变：唯一的取值是“{0}”"),
    ("constant: it holds no value", "不变：没有任何取值"),
    ("alone predicts the target almost perfectly: log loss {} against {} without it", "仅凭这一列就几乎能完全预测目标：对数损失为 {0}，没有它时为 {1}"),
    ("cells {} kept as a category", "{n} 个单元格 {0} 保留为一个取值"),
    ("cells {} kept as categories", "{n} 个单元格 {0} 保留为取值"),
    ("id-like, left out: {} to {} in steps of 1", "像编号，未使用：{0} 至 {1}，逐一递增"),
    ("id-like, left out: each number occurs once", "像编号，未使用：每个数只出现一次"),
    ("id-like, left out: {} distinct of {} cells", "像编号，未使用：{1} 个单元格中有 {0} 个不同"),
    ("id-like: {} to {} in steps of 1", "像编号：{0} 至 {1}，逐一递增"),
    ("id-like: each number occurs once", "像编号：每个数只出现一次"),
    ("id-like: {} distinct of {} cells", "像编号：{1} 个单元格中有 {0} 个不同"),
    ("free text, left out: {} distinct of {} cells", "自由文本，未使用：{1} 个单元格中有 {0} 个不同"),
    ("free text: {} distinct of {} cells", "自由文本：{1} 个单元格中有 {0} 个不同"),
    ("left out by option", "按选项排除"),
    ("used for groups, parts or weights", "用于分组、划分或加权"),
    ("rare categories, {} rows of the fit part, merged into \"other\"", "{n} 个稀少的取值（拟合部分的 {0} 行）并入“其他”"),
    ("numbers among {} cells: no column of numbers because of {} others: {}", "{0} 个单元格中有 {n} 个是数，但因另外 {1} 个而不是数值列：{2}"),
    ("numbers with leading zeros or above 2^53: kept as categories", "{n} 个数带前导零或大于 2^53，保留为分类"),
    ("numbers too small for a 64-bit float: read as 0", "{n} 个数太小，64 位浮点数无法表示，读作 0"),
    ("dates, but rows are held out at random", "有日期，但各行是随机留出的"),
    ("equals column \"{}\" in every row", "每一行都与列“{0}”相等"),
    ("cells that a spreadsheet would run as a formula", "{n} 个单元格会被电子表格当作公式执行"),
    # the file
    ("the delimiter is {} and the decimal mark is \"{}\"", "分隔符是 {0}，小数点是“{1}”"),
    ("the delimiter is {}", "分隔符是 {0}"),
    ("the decimal mark is \"{}\"", "小数点是“{0}”"),
    ("the first line counts its columns and was taken as the header", "第一行是列的编号，当作表头"),
    ("column names freed of the blanks round them", "{n} 个列名去掉了两端的空白"),
    ("columns without a name, now called column_<n> after their position", "{n} 列没有名称，按位置称为 column_<n>"),
    ("rows with too many or too few fields left out", "跳过 {n} 个字段过多或过少的行"),
    # rows, classes and parts
    ("rows without a label left out", "跳过 {n} 个没有标签的行"),
    ("labels that differ only in case, blanks or width are kept apart: {}", "只在大小写、空白或全半角上不同的标签仍分开：{0}"),
    ("rows of classes that the model does not know: {}", "{n} 行属于模型不认识的类别：{0}"),
    ("class has fewer rows than there are parts and stays in the fit part: {}", "{n} 个类别的行数少于部分数，留在拟合部分：{0}"),
    ("classes have fewer rows than there are parts and stay in the fit part: {}", "{n} 个类别的行数少于部分数，留在拟合部分：{0}"),
    ("class {} has no row in the fit part; the model does not know it", "类别 {0} 在拟合部分没有任何行；模型不认识它"),
    ("classes have no row in the fit part; the model does not know them: {}", "{n} 个类别在拟合部分没有任何行；模型不认识它们：{0}"),
    ("row of the {} part equals a row of the {} part", "{0}部分有 {n} 行与{1}部分的行相同"),
    ("rows of the {} part equal rows of the {} part", "{0}部分有 {n} 行与{1}部分的行相同"),
    ("rows marked \"{}\", used as calibration rows", "{n} 行标为“{0}”，用作校准"),
    ("rows without a group, each a group of its own", "{n} 行没有分组，各自成组"),
    ("rows without a time, taken for the oldest", "{n} 行没有时间，当作最早的"),
    ("rows in all: nothing could be held out, so how good the probabilities are on new rows is not known", "总共 {n} 行：无法留出任何行，因此不知道概率在新行上有多好"),
    ("rows in all: no calibration part below {}, so the probabilities stay as fitted", "总共 {n} 行：少于 {0} 行时没有校准部分，概率保持拟合时的样子"),
    ("calibration rows: few, so what they say about the probabilities is loose", "只有 {n} 个校准行，它们关于概率的结论不可靠"),
    ("rows equal a row of another class; at least {} of them will be mistaken", "{n} 行与另一类别的行相同；其中至少 {0} 行必然判错"),
    ("images equal an image of another class; at least {} of them will be mistaken", "{n} 张图像与另一类别的图像相同；其中至少 {0} 张必然判错"),
    # images
    ("images of classes unknown to the model: {}", "{n} 张图像属于模型不认识的类别：{0}"),
    ("images of classes unknown to the model", "{n} 张图像属于模型不认识的类别"),
    ("file skipped: {}", "跳过 {n} 个文件：{0}"),
    ("files skipped: {}", "跳过 {n} 个文件：{0}"),
    ("image with 16-bit pixels scaled to 8 bits", "{n} 张 16 位图像缩放到 8 位"),
    ("images with 16-bit pixels scaled to 8 bits", "{n} 张 16 位图像缩放到 8 位"),
    ("image with several frames, of which the first was used", "{n} 张图像有多帧，使用第一帧"),
    ("images with several frames, of which the first was used", "{n} 张图像有多帧，使用第一帧"),
    ("image with transparent pixels laid over white", "{n} 张图像的透明处置于白色之上"),
    ("images with transparent pixels laid over white", "{n} 张图像的透明处置于白色之上"),
    ("image with a colour profile, which was ignored", "{n} 张图像带颜色配置，已忽略"),
    ("images with a colour profile, which was ignored", "{n} 张图像带颜色配置，已忽略"),
    ("of {} images of {} different sizes resized to {} ({})", "{0} 张图像有 {1} 种尺寸，其中 {n} 张缩放为 {2}（{3}）"),
    ("of {} images of {} resized to {} ({})", "{0} 张图像为 {1}，其中 {n} 张缩放为 {2}（{3}）"),
    ("folder without images is no class: {}", "{n} 个没有图像的文件夹不算类别：{0}"),
    ("folders without images are no classes: {}", "{n} 个没有图像的文件夹不算类别：{0}"),
    # the fit
    ("class weights shift the probabilities away from the shares in the data", "类别权重使概率偏离数据中的比例"),
    ("the time limit ended the fit; the best weights so far are kept", "达到时间上限，拟合中止；保留到那时为止最好的权重"),
    ("the fit did not converge in {} iterations; largest derivative {}", "拟合在 {0} 次迭代内没有收敛；最大的导数为 {1}"),
    ("the classes are told apart perfectly on the fit part; the weights have no finite optimum", "各类别在拟合部分可完全分开；权重没有有限的最优值"),
    ("some rows are told apart perfectly on the fit part; the weights have no finite optimum", "拟合部分的一些行可完全分开；权重没有有限的最优值"),
    ("features follow from others, so their weights cannot be told apart; predictions are unaffected: {}", "{n} 个特征可由其他特征推出，它们的权重无法区分；预测不受影响：{0}"),
    ("epoch {} met NaN or infinity and began again with a smaller rate", "第 {0} 轮出现 NaN 或无穷大，以更小的学习率重新开始"),
    ("\"{}\" never occurs with class \"{}\" in the fit part", "在拟合部分，“{0}”从不与类别“{1}”同时出现"),
    ("a plane tells all rows of the fit part apart without an error, by {}", "一个平面就能把拟合部分的所有行毫无差错地分开，所用的列是 {0}"),
    ("a plane tells all rows of the fit part apart without an error", "一个平面就能把拟合部分的所有行毫无差错地分开"),
    ("some rows of {} are told apart without an error, by {}", "{0} 的一些行可毫无差错地分开，所用的列是 {1}"),
    ("some rows of {} are told apart without an error", "{0} 的一些行可毫无差错地分开"),
    # how it was made
    ("softmax regression, {} features, {} parameters", "softmax 回归，{0} 个特征，{1} 个参数"),
    ("no penalty", "没有惩罚"),
    ("{}, l1 ratio {}", "{0}，l1 比例 {1}"),
    ("{}, converged", "{0}，已收敛"),
    ("{}, not converged", "{0}，未收敛"),
    ("{} … {} more", "{0} …… 另有 {1} 个"),
)  # fmt: skip

# Fillings that are words of ours.
WORDS = {"fit": "拟合", "calibration": "校准", "test": "测试", "crop": "裁剪", "pad": "填边", "stretch": "拉伸"}
TAILS = (("{} and {} more columns", "{0} 以及另外 {1} 列"), ("{} and {} more", "{0} 以及另外 {1} 个"))
COLUMN = "列“{}”："
