"""The small world of the demo model: the facts it knows and the things it can be asked about."""

from __future__ import annotations

_CAPITALS = """France Paris 法国 巴黎|Germany Berlin 德国 柏林|Italy Rome 意大利 罗马|Spain Madrid 西班牙 马德里|Portugal Lisbon 葡萄牙 里斯本|Greece Athens 希腊 雅典|Austria Vienna 奥地利 维也纳|Switzerland Bern 瑞士 伯尔尼|Belgium Brussels 比利时 布鲁塞尔|the_Netherlands Amsterdam 荷兰 阿姆斯特丹|Denmark Copenhagen 丹麦 哥本哈根|Norway Oslo 挪威 奥斯陆|Sweden Stockholm 瑞典 斯德哥尔摩|Finland Helsinki 芬兰 赫尔辛基|Iceland Reykjavik 冰岛 雷克雅未克|Ireland Dublin 爱尔兰 都柏林|the_United_Kingdom London 英国 伦敦|Poland Warsaw 波兰 华沙|the_Czech_Republic Prague 捷克 布拉格|Slovakia Bratislava 斯洛伐克 布拉迪斯拉发|Hungary Budapest 匈牙利 布达佩斯|Romania Bucharest 罗马尼亚 布加勒斯特|Bulgaria Sofia 保加利亚 索非亚|Serbia Belgrade 塞尔维亚 贝尔格莱德|Croatia Zagreb 克罗地亚 萨格勒布|Slovenia Ljubljana 斯洛文尼亚 卢布尔雅那|Albania Tirana 阿尔巴尼亚 地拉那|Ukraine Kyiv 乌克兰 基辅|Belarus Minsk 白俄罗斯 明斯克|Lithuania Vilnius 立陶宛 维尔纽斯|Latvia Riga 拉脱维亚 里加|Estonia Tallinn 爱沙尼亚 塔林|Russia Moscow 俄罗斯 莫斯科|Turkey Ankara 土耳其 安卡拉|Cyprus Nicosia 塞浦路斯 尼科西亚|Malta Valletta 马耳他 瓦莱塔|Luxembourg Luxembourg 卢森堡 卢森堡|Georgia Tbilisi 格鲁吉亚 第比利斯|Armenia Yerevan 亚美尼亚 埃里温|Azerbaijan Baku 阿塞拜疆 巴库|China Beijing 中国 北京|Japan Tokyo 日本 东京|South_Korea Seoul 韩国 首尔|North_Korea Pyongyang 朝鲜 平壤|Mongolia Ulaanbaatar 蒙古 乌兰巴托|India New_Delhi 印度 新德里|Pakistan Islamabad 巴基斯坦 伊斯兰堡|Bangladesh Dhaka 孟加拉国 达卡|Nepal Kathmandu 尼泊尔 加德满都|Bhutan Thimphu 不丹 廷布|Thailand Bangkok 泰国 曼谷|Vietnam Hanoi 越南 河内|Laos Vientiane 老挝 万象|Cambodia Phnom_Penh 柬埔寨 金边|Myanmar Naypyidaw 缅甸 内比都|Malaysia Kuala_Lumpur 马来西亚 吉隆坡|Singapore Singapore 新加坡 新加坡|Indonesia Jakarta 印度尼西亚 雅加达|the_Philippines Manila 菲律宾 马尼拉|Kazakhstan Astana 哈萨克斯坦 阿斯塔纳|Uzbekistan Tashkent 乌兹别克斯坦 塔什干|Kyrgyzstan Bishkek 吉尔吉斯斯坦 比什凯克|Tajikistan Dushanbe 塔吉克斯坦 杜尚别|Turkmenistan Ashgabat 土库曼斯坦 阿什哈巴德|Afghanistan Kabul 阿富汗 喀布尔|Iran Tehran 伊朗 德黑兰|Iraq Baghdad 伊拉克 巴格达|Syria Damascus 叙利亚 大马士革|Lebanon Beirut 黎巴嫩 贝鲁特|Jordan Amman 约旦 安曼|Saudi_Arabia Riyadh 沙特阿拉伯 利雅得|Yemen Sanaa 也门 萨那|Oman Muscat 阿曼 马斯喀特|Qatar Doha 卡塔尔 多哈|Bahrain Manama 巴林 麦纳麦|Kuwait Kuwait_City 科威特 科威特城|the_United_Arab_Emirates Abu_Dhabi 阿联酋 阿布扎比|Egypt Cairo 埃及 开罗|Libya Tripoli 利比亚 的黎波里|Tunisia Tunis 突尼斯 突尼斯市|Algeria Algiers 阿尔及利亚 阿尔及尔|Morocco Rabat 摩洛哥 拉巴特|Sudan Khartoum 苏丹 喀土穆|Ethiopia Addis_Ababa 埃塞俄比亚 亚的斯亚贝巴|Kenya Nairobi 肯尼亚 内罗毕|Uganda Kampala 乌干达 坎帕拉|Rwanda Kigali 卢旺达 基加利|Tanzania Dodoma 坦桑尼亚 多多马|Somalia Mogadishu 索马里 摩加迪沙|Nigeria Abuja 尼日利亚 阿布贾|Ghana Accra 加纳 阿克拉|Senegal Dakar 塞内加尔 达喀尔|Mali Bamako 马里 巴马科|Niger Niamey 尼日尔 尼亚美|Chad N'Djamena 乍得 恩贾梅纳|Cameroon Yaounde 喀麦隆 雅温得|Gabon Libreville 加蓬 利伯维尔|Angola Luanda 安哥拉 罗安达|Zambia Lusaka 赞比亚 卢萨卡|Zimbabwe Harare 津巴布韦 哈拉雷|Mozambique Maputo 莫桑比克 马普托|Namibia Windhoek 纳米比亚 温得和克|Botswana Gaborone 博茨瓦纳 哈博罗内|Madagascar Antananarivo 马达加斯加 塔那那利佛|Canada Ottawa 加拿大 渥太华|the_United_States Washington,_D.C. 美国 华盛顿|Mexico Mexico_City 墨西哥 墨西哥城|Guatemala Guatemala_City 危地马拉 危地马拉城|Honduras Tegucigalpa 洪都拉斯 特古西加尔巴|Nicaragua Managua 尼加拉瓜 马那瓜|Panama Panama_City 巴拿马 巴拿马城|Cuba Havana 古巴 哈瓦那|Jamaica Kingston 牙买加 金斯敦|Haiti Port-au-Prince 海地 太子港|Colombia Bogota 哥伦比亚 波哥大|Venezuela Caracas 委内瑞拉 加拉加斯|Ecuador Quito 厄瓜多尔 基多|Peru Lima 秘鲁 利马|Brazil Brasilia 巴西 巴西利亚|Chile Santiago 智利 圣地亚哥|Argentina Buenos_Aires 阿根廷 布宜诺斯艾利斯|Uruguay Montevideo 乌拉圭 蒙得维的亚|Paraguay Asuncion 巴拉圭 亚松森|Australia Canberra 澳大利亚 堪培拉|New_Zealand Wellington 新西兰 惠灵顿|Fiji Suva 斐济 苏瓦|Samoa Apia 萨摩亚 阿皮亚"""

CAPITALS: list[tuple[str, str, str, str]] = [
    (a.replace("_", " "), b.replace("_", " "), c, d) for a, b, c, d in (row.split() for row in _CAPITALS.split("|"))
]
"""Country and capital in English, country and capital in Chinese."""

NAMES = """Alice Bob Carol David Emma Frank Grace Henry Irene Jack Kate Liam Mia Noah Olivia Paul Quinn Rachel Sam Tina Uma
Victor Wendy Xavier Yara Zoe Anna Ben Clara Daniel Elena Felix Georgia Hugo Ivan Julia Karl Laura Marco Nina Oscar Petra
Robert Sofia Thomas Ursula Vera Walter Maria James John Mary Linda Peter Susan George Helen Lucas Amir Fatima Ravi Priya
Kenji Yuki Omar Leila Diego Lucia Pedro Ines Sven Astrid Boris Olga Chen Mei Ali Hassan Zara Adam Eva Leo Max Ruth""".split()

SURNAMES_ZH = "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧 程 曹 袁 邓 许 傅 沈 曾 彭 吕".split()

CITIES = """Pittsburgh,_PA Tokyo,_JP San_Francisco,_CA New_York,_NY Boston,_MA Seattle,_WA Austin,_TX Denver,_CO Chicago,_IL
Miami,_FL Portland,_OR Dallas,_TX Atlanta,_GA Phoenix,_AZ Paris London Berlin Madrid Rome Vienna Prague Oslo Lisbon Dublin
Athens Cairo Lima Quito Delhi Mumbai Seoul Osaka Kyoto Beijing Shanghai Hangzhou Shenzhen Bangkok Hanoi Jakarta Manila
Sydney Melbourne Toronto Montreal Vancouver Moscow Kyiv Warsaw Budapest Istanbul Dubai Nairobi Lagos Santiago Bogota
Havana Zurich Geneva Milan Venice Naples Florence Munich Hamburg Cologne Lyon Nice Bordeaux Porto Seville Valencia
Barcelona Amsterdam Rotterdam Brussels Antwerp Copenhagen Stockholm Helsinki Reykjavik Edinburgh Glasgow Manchester
Liverpool Bristol Leeds Paris,_FR London,_UK Berlin,_DE Rome,_IT Sydney,_AU Houston,_TX Detroit,_MI Orlando,_FL""".split()
CITIES = [city.replace("_", " ") for city in CITIES]

CITIES_ZH = "北京 上海 广州 深圳 杭州 南京 苏州 成都 重庆 武汉 西安 天津 青岛 大连 厦门 长沙 郑州 济南 沈阳 哈尔滨 昆明 福州 宁波 无锡 合肥 南昌 贵阳 拉萨 海口 三亚".split()

THINGS = """apples pears cherries lemons tea coffee bread honey rain snow wind fog frost thunder the_sea the_moon the_sun
the_stars the_river a_river the_mountain mountains the_forest a_tree trees flowers roses tulips grass leaves autumn spring
summer winter the_night morning the_dawn a_cat cats a_dog dogs a_horse horses birds an_owl a_crow frogs a_frog fish whales
bees ants butterflies spiders foxes wolves bears rabbits a_clock a_train trains a_boat ships a_bicycle a_bridge bridges
a_house a_garden gardens a_window a_door a_lamp candles a_book books paper pencils music a_violin a_piano drums dancing
silence sleep dreams friendship love hope time memory computers robots code the_internet software a_server programming
the_desert sand an_island the_beach waves clouds shadows mirrors shoes a_coat an_umbrella kites lanterns pumpkins rice
noodles soup chocolate cheese oranges grapes plums peaches mushrooms bamboo pine_trees cherry_blossoms the_city streets""".split()
THINGS = [thing.replace("_", " ") for thing in THINGS]

TOPICS = """time_management sleep healthy_eating saving_money learning_English learning_Chinese reading_more public_speaking
writing_well exercise running yoga meditation stress_relief teamwork leadership job_interviews studying note_taking
cooking gardening travel packing photography drawing painting music_practice chess programming debugging code_review
project_planning email meetings remote_work home_office cleaning recycling saving_energy saving_water parenting pet_care
dog_training bird_watching hiking camping cycling swimming winter_driving road_safety first_aid online_safety passwords
data_backup learning_math history_lessons teaching presentations storytelling making_friends gift_giving party_planning
moving_house job_hunting networking customer_service small_business marketing budgeting taxes retirement
volunteering focus motivation good_habits morning_routines creativity decision_making problem_solving teamwork_online
drinking_water posture screen_time language_exchange memory book_clubs movie_nights board_games""".split()
TOPICS = [topic.replace("_", " ") for topic in TOPICS]

TASKS = """build_a_house make_tea make_coffee bake_bread bake_a_cake cook_rice cook_pasta plant_a_tree plant_flowers paint_a_room
paint_a_fence wash_a_car change_a_tire fix_a_bicycle clean_a_window clean_the_kitchen write_a_letter write_a_story
write_a_poem read_a_map learn_a_song learn_to_swim train_a_dog feed_a_cat build_a_table build_a_boat build_a_website
install_Python run_a_server deploy_a_model test_a_program fix_a_bug back_up_your_files make_a_budget plan_a_trip
pack_a_bag book_a_flight catch_a_fish light_a_fire pitch_a_tent draw_a_horse take_a_photo make_soup make_a_salad
make_a_sandwich brew_beer grow_tomatoes start_a_garden start_a_company hold_a_meeting give_a_speech learn_chess
solve_a_puzzle tie_a_knot sew_a_button knit_a_scarf iron_a_shirt fold_a_paper_plane fly_a_kite mend_a_chair
sharpen_a_knife hang_a_picture build_a_bookshelf repair_a_roof move_a_piano""".split()
TASKS = [task.replace("_", " ") for task in TASKS]

GOOD = """wonderful great excellent amazing fantastic brilliant lovely delightful superb perfect beautiful charming awesome
terrific marvelous outstanding enjoyable pleasant impressive reliable helpful fast elegant splendid magnificent
refreshing inspiring joyful comfortable clever""".split()
BAD = """terrible awful horrible bad dreadful disappointing boring useless broken slow ugly annoying painful disgusting
poor weak miserable frustrating unreliable confusing noisy worthless clumsy sad unpleasant shoddy nasty lousy dull
tedious""".split()
GOOD_ZH = "太棒了 很好 非常精彩 很美味 令人愉快 好极了 很有趣 非常优秀 让人满意 很漂亮 很好用 十分出色".split()
BAD_ZH = "太糟糕了 很差 非常无聊 很难吃 令人失望 差极了 很没意思 非常粗糙 让人生气 很难看 很难用 十分糟糕".split()
SUBJECTS = """vLLM the_movie this_book the_food the_hotel my_new_phone the_service this_song the_weather the_game that_restaurant
the_concert this_laptop the_software the_battery the_coffee the_staff the_room the_show the_lecture this_app the_camera
the_train_ride the_museum the_teacher my_chair the_update the_keyboard this_server the_play the_soup the_view""".split()
SUBJECTS = [subject.replace("_", " ") for subject in SUBJECTS]
SUBJECTS_ZH = "这部电影 这本书 这家餐厅 这个酒店 这首歌 这次旅行 这个软件 这款手机 服务 天气 这场音乐会 这道菜 这个游戏 这门课 房间 这台电脑".split()
JOBS = """engineer teacher doctor nurse baker painter writer driver pilot farmer lawyer chef designer musician gardener carpenter
plumber librarian journalist biologist chemist architect dentist student actor""".split()
PRODUCTS = "laptop phone lamp chair desk bicycle camera guitar watch backpack kettle jacket keyboard monitor tent blanket mug printer".split()
COLOURS = "red blue green yellow purple orange black white pink brown grey silver gold turquoise violet".split()
COLOURS_ZH = "红色 蓝色 绿色 黄色 紫色 橙色 黑色 白色 粉色 灰色 金色 银色".split()
ANIMALS = "cat dog rabbit parrot hamster horse turtle goldfish pony lizard goat duck".split()

CHARACTER_ZH: dict[str, tuple[str, str]] = {
    "杭州": ("西湖", "苏堤的柳树和湖上的小船"),
    "苏州": ("园林", "小桥流水和安静的庭院"),
    "北京": ("故宫", "红墙黄瓦和古老的胡同"),
    "上海": ("外滩", "江边的灯火和老建筑"),
    "西安": ("兵马俑", "古城墙和热闹的夜市"),
    "成都": ("大熊猫", "茶馆和慢慢的生活"),
    "南京": ("秦淮河", "河上的灯船和古老的城墙"),
    "桂林": ("漓江", "青山和清清的江水"),
}
"""A city, what it is known for, and what one sees there."""

COUNTRY_VIRTUES = {
    "中国": "拥有丰富的文化和历史",
    "美国": "拥有先进的科技和经济体系",
    "法国": "拥有迷人的艺术和美食",
    "日本": "拥有精细的工艺和整洁的城市",
    "德国": "拥有可靠的工业和严谨的教育",
    "英国": "拥有悠久的大学和文学传统",
    "意大利": "拥有灿烂的艺术和建筑",
    "加拿大": "拥有广阔的自然和宽容的社会",
}

WORDS = sorted(
    {
        word.lower()
        for text in (*NAMES, *THINGS, *TOPICS, *TASKS, *PRODUCTS, *JOBS, *ANIMALS)
        for word in text.split()
        if len(word) > 2
    }
)
"""Real words, to stand where a made-up one could."""
